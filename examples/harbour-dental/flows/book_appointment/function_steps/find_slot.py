from _gen import *  # <AUTO GENERATED>
from functions.diary import is_free, next_free


def find_slot(conv: Conversation, flow: Flow):
    wanted = conv.entities.appointment_time.value[:5]
    if not is_free(wanted):
        conv.state.slot = next_free(wanted)
        flow.goto_step("Collect phone")
        return {"content": f"Tell the patient that {wanted} is taken, and that {conv.state.slot} is booked instead."}
    conv.state.slot = wanted
    flow.goto_step("Collect phone")
