from _gen import *  # <AUTO GENERATED>


def details_refused(conv: Conversation, flow: Flow):
    conv.write_metric("REFUSED_AT", conv.current_step, write_once=True)
    conv.exit_flow()
    return conv.functions.speak_to_reception()
