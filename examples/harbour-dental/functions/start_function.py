from _gen import *  # <AUTO GENERATED>


def start_function(conv: Conversation):
    conv.state.booked = False
    if conv.language == "de-DE":
        return {"utterance": f"Guten Tag, hier ist {conv.variant.practice_name}. Wie kann ich helfen?"}
    # Nothing is returned, so the greeting of chat/configuration.yaml is used.
