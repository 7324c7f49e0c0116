"""The appointments; a real project would ask the practice's own system."""

from _gen import *  # <AUTO GENERATED>

TAKEN = {"09:00", "09:30", "14:00"}


@func_description("[UTIL] The diary.")
def diary(conv: Conversation):
    return None


def is_free(time: str) -> bool:
    """Tell whether nobody comes at that time."""
    return time not in TAKEN


def next_free(time: str) -> str:
    """Give the next free half hour after a time such as 09:00."""
    hour, minute = (int(part) for part in time.split(":")[:2])
    for step in range(1, 20):
        later = f"{hour + (minute + 30 * step) // 60:02}:{(minute + 30 * step) % 60:02}"
        if is_free(later):
            return later
    return "08:00"
