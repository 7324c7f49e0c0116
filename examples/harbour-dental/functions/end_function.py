from _gen import *  # <AUTO GENERATED>


def end_function(conv: Conversation):
    conv.write_metric("BOOKED", bool(conv.state.booked), write_once=True)
    conv.write_metric("LEFT_AT", conv.current_step or "outside", write_once=True)
