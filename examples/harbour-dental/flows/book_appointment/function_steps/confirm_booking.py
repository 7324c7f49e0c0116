from _gen import *  # <AUTO GENERATED>


def confirm_booking(conv: Conversation, flow: Flow):
    conv.state.booked = True
    conv.write_metric("BOOKING", conv.entities.treatment.value, write_once=True)
    name = conv.entities.full_name.value
    conv.exit_flow()
    return {
        "utterance": f"Thank you, {name}. Your {conv.entities.treatment.value.lower()} is booked for "
        f"{conv.entities.appointment_date.value} at {conv.state.slot}. {conv.translations.goodbye}"
    }
