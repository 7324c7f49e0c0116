from _gen import *  # <AUTO GENERATED>


@func_description("Begin to book an appointment. Call when a patient wants to come.")
def start_booking(conv: Conversation):
    conv.write_metric("BOOKING_STARTED", True, write_once=True)
    conv.goto_flow("Book appointment")
    return {"content": "Say nothing yet; the booking asks its own questions."}
