from _gen import *  # <AUTO GENERATED>


def end_function(conv: Conversation):
    conv.write_metric("NIGHTS", conv.state.nights or 0, write_once=True)
