from _gen import *  # <AUTO GENERATED>


def start_function(conv: Conversation):
    conv.state.house = conv.variant_name or ""
    conv.set_response_suggestions(["Do you have a free room?", "When is breakfast?", "Can I bring my dog?"])
