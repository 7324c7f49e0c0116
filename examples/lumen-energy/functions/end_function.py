from _gen import *  # <AUTO GENERATED>


def end_function(conv: Conversation):
    topics = [event.value for event in conv.metric_events if event.name == "QA"]
    conv.write_metric("TOPICS_ANSWERED", len(topics), write_once=True)
    conv.log.info("conversation ended", topics=topics, outage_checks=conv.state.outage_checks)
