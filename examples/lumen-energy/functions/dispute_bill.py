from _gen import *  # <AUTO GENERATED>


@func_description("Hand over to a live agent of the billing team. Call at once when the customer disputes a bill.")
def dispute_bill(conv: Conversation):
    conv.state.handoff_reason = "dispute a bill"
    conv.write_metric("HANDOFF", "dispute a bill", write_once=True)
    return {
        "utterance": "No problem, I'll transfer you to one of our agents now.",
        "handoff": {"text_chat": {"webex_integration": {}}},
    }
