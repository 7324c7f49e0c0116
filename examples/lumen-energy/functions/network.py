"""Mock data of the local grid operator; a real project would ask its API here."""

from _gen import *  # <AUTO GENERATED>

OUTAGES = {
    "SW1A": {"cause": "a damaged cable", "homes": 320, "back_at": "18:30", "map": "westminster"},
    "M14": {"cause": "planned maintenance", "homes": 85, "back_at": "15:00", "map": "fallowfield"},
    "LS6": {"cause": "storm damage", "homes": 1240, "back_at": "22:00", "map": "headingley"},
}


@func_description("[UTIL] Looks up outages.")
def network(conv: Conversation):
    return None


def outward_code(postcode: str) -> str:
    """Give the first half of a postcode, which names the district."""
    text = "".join(postcode.upper().split())
    return text[:-3] if len(text) > 4 else text


def outage_at(postcode: str):
    """Give the outage at a postcode, or None."""
    return OUTAGES.get(outward_code(postcode))
