from _gen import *  # <AUTO GENERATED>


@func_description("Switch the customer's account to paperless billing. Call when the customer agrees.")
def switch_to_paperless(conv: Conversation):
    conv.state.paperless = True
    return {"utterance": "Done: your next bill comes by e-mail. Thank you for saving paper!"}
