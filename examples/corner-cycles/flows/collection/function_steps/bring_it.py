from _gen import *  # <AUTO GENERATED>


def bring_it(conv: Conversation, flow: Flow):
    conv.exit_flow()
    return {"utterance": "No problem. Just bring the bike to the shop, you don't need an appointment."}
