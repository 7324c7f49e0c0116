from _gen import *  # <AUTO GENERATED>


@func_description("Text the customer how to find the shop. Call when the customer agrees.")
def send_directions(conv: Conversation):
    if not conv.caller_number:
        return {"utterance": "I don't have your number, so here it is: 4 Mill Lane, through the gate behind the bakery."}
    try:
        conv.send_sms_template(conv.caller_number, "directions")
    except (SMSIntegrationNotFound, SMSMissingAssistantAccess):
        return {"utterance": "I can't send texts right now: we are at 4 Mill Lane, behind the bakery."}
    return {"utterance": "Done, the directions are on your phone."}
