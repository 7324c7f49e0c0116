from _gen import *  # <AUTO GENERATED>


@func_description("Begin to book a collection of bikes from the customer's home.")
def start_collection(conv: Conversation):
    conv.goto_flow("Collection")
