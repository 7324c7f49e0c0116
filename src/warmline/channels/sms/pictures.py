"""Files that the carrier cannot deliver: the words go out again, with links (messaging-protocol.md §17.6). Pure."""

from dataclasses import replace

from warmline.channels.sms.client import MEDIA_ERRORS
from warmline.channels.sms.wire import FAILED, RANKS
from warmline.domain.effects import SendText
from warmline.domain.texting import split
from warmline.ports import SentText

AGAIN = 10
"""What is known of the second text ranks so much above what is known of the first, which it replaces."""


def spoiled(effect: SendText, known: SentText | None) -> bool:
    """Whether the files are why the text does not arrive, as far as `known`, and it was not sent again."""
    return bool(
        effect.media
        and known is not None
        and known.rank < AGAIN
        and known.status in FAILED
        and known.error in MEDIA_ERRORS
    )


def without_files(effect: SendText) -> SendText:
    """The words with links in place of the files; what does not fit into one text beside the words is left out."""
    text = effect.text
    for address in effect.media:
        longer = f"{text}\n{address}".strip()
        if split(longer) == [longer]:
            text = longer
    return replace(effect, text=text, media=())


def in_doubt(effect: SendText, known: SentText) -> bool:
    """Whether the files may still turn out to spoil a text that the carrier has taken."""
    return bool(effect.media) and known.rank < RANKS["delivered"]
