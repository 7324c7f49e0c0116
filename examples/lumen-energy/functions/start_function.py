from _gen import *  # <AUTO GENERATED>


def start_function(conv: Conversation):
    conv.state.outage_checks = 0
    conv.state.started_on = conv.channel_type
    conv.set_response_suggestions(
        ["Is there a power cut?", "I'm moving home", "What tariffs do you have?", "I want to dispute my bill"]
    )
    conv.write_metric("CONVERSATION_STARTED", conv.channel_type, write_once=True)
    # Nothing is returned, so the greeting of chat/configuration.yaml is used.
