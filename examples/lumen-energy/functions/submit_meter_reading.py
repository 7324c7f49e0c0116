from _gen import *  # <AUTO GENERATED>


@func_description("Take down a meter reading.")
@func_parameter("reading", "The digits of the meter in front of the decimal point")
def submit_meter_reading(conv: Conversation, reading: int):
    if not 0 <= reading <= 999_999:
        return {"utterance": "That doesn't look like a meter reading: it should have five or six digits."}
    conv.state.last_reading = reading
    conv.write_metric("METER_READING", reading)
    return {"utterance": f"Thank you, I've noted a reading of {reading:,} kWh. It will be on your next bill."}
