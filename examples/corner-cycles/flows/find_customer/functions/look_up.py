from _gen import *  # <AUTO GENERATED>
from functions.customers import by_phone


@func_description("Look up the customer by the number that writes.")
def look_up(conv: Conversation, flow: Flow):
    customer = by_phone(conv.caller_number)
    if customer is not None:
        conv.state.customer = customer
        conv.state.customer_name = customer.name
        conv.state.regular = customer.regular
        conv.state.customer_rules = "The customer is known: do not ask for name or number."
    conv.exit_flow()
