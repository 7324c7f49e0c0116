"""When the practice is open."""

from datetime import datetime
from zoneinfo import ZoneInfo

from _gen import *  # <AUTO GENERATED>

OPENS, CLOSES = 8, 18


@func_description("[UTIL] Opening hours.")
def opening(conv: Conversation):
    return None


def is_open(conv: Conversation) -> bool:
    """Tell whether somebody is at reception; a test sets the time by the attribute `now`."""
    given = (conv.integration_attributes or {}).get("now")
    now = datetime.fromisoformat(given) if given else datetime.now(ZoneInfo("Europe/London"))
    return now.weekday() < 5 and OPENS <= now.hour < CLOSES
