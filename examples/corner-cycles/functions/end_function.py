from _gen import *  # <AUTO GENERATED>


def end_function(conv: Conversation):
    conv.write_metric("KNOWN_CUSTOMER", conv.state.customer_name != "there", write_once=True)
    conv.log.info("conversation ended", jobs=conv.state.jobs_asked or [])
