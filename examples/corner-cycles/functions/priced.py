from _gen import *  # <AUTO GENERATED>

LABOUR = 25


@func_description("[UTIL] The price of a repair as customers read it.")
@func_parameter("parts", "The price of the parts in pounds")
def priced(conv: Conversation, parts: float):
    total = LABOUR + float(parts)
    if conv.state.regular:
        total *= 0.9
    return f"£{total:.2f}"
