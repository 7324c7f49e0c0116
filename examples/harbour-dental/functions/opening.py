"""When the practice is open."""

from zoneinfo import ZoneInfo

from _gen import *  # <AUTO GENERATED>

OPENS, CLOSES = 8, 18


@func_description("[UTIL] Opening hours.")
def opening(conv: Conversation):
    return None


def is_open(conv: Conversation) -> bool:
    """Tell whether somebody is at reception."""
    now = conv.clock.now_utc().astimezone(ZoneInfo("Europe/London"))
    return now.weekday() < 5 and OPENS <= now.hour < CLOSES
