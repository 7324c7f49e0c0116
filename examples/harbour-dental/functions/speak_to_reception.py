from _gen import *  # <AUTO GENERATED>
from functions.opening import is_open


@func_description("Put the patient through to a person at reception.")
def speak_to_reception(conv: Conversation):
    if not is_open(conv):
        conv.write_metric("ASKED_WHILE_CLOSED", True, write_once=True)
        return {
            "utterance": f"{conv.translations.closed} Please write again from Monday to Friday, 8 am to 6 pm. "
            "If it cannot wait, call 111."
        }
    return conv.call_handoff("Reception", "wants a person", "One moment, I'm putting you through to reception.")
