"""What rooms cost."""

from _gen import *  # <AUTO GENERATED>

NIGHTLY = {1: 70, 2: 90, 3: 115, 4: 135, 5: 160, 6: 180}
WEEK = 7


@func_description("[UTIL] What rooms cost.")
def rates(conv: Conversation):
    return None


def total(nights: int, guests: int) -> float:
    """Give the price of a stay in pounds; a week and more is a tenth cheaper."""
    price = NIGHTLY[guests] * nights
    return price * 0.9 if nights >= WEEK else float(price)
