from _gen import *  # <AUTO GENERATED>


def hand_over(conv: Conversation, flow: Flow):
    remark = conv.entities.remark
    if remark and remark.value:
        conv.state.handoff_after_remark["handoff"]["reason"] = remark.value
    conv.exit_flow()
    return conv.state.handoff_after_remark
