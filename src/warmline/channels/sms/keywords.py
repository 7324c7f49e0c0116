"""Words with which customers say whether they want texts (messaging-protocol.md §17.3). Pure."""

from enum import StrEnum


class Keyword(StrEnum):
    """What such a word asks for."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


_WORDS = {
    **dict.fromkeys(("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"), Keyword.STOP),
    **dict.fromkeys(("START", "UNSTOP"), Keyword.START),
    "HELP": Keyword.HELP,
}


def keyword(text: str, *, opted_out: bool) -> Keyword | None:
    """What `text` asks for if the whole of it is a keyword, whatever its case and one punctuation mark at its end.

    YES is one only from somebody who has unsubscribed: else it answers a question of the agent.
    """
    word = text.strip()
    if word[-1:] in (".", "!", "?", ",", ";"):
        word = word[:-1].rstrip()
    word = word.upper()
    if word == "YES" and opted_out:
        return Keyword.START
    return _WORDS.get(word)
