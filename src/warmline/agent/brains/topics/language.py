"""What people say in every conversation: yes, no, hello, thanks, "I want a human"."""

import re
from collections.abc import Mapping
from enum import StrEnum

from warmline.agent.brains.topics.features import words

PHRASES: Mapping[str, str] = {
    "dont_know": "I'm sorry, I don't know the answer to that. Could you put it another way?",
    "which_topic": "Which of these do you mean?",
    "ask_for": "Could you tell me your {name}, please?",
    "declined": "All right. Is there anything else I can help you with?",
    "done": "All right, that's done.",
    "not_right": "I'm sorry, I could not use that: {reason}.",
    "which_of": "Which of these would you like: {options}?",
    "offer_person": "I'm sorry, I can't do this on my own. Shall I connect you with a person?",
    "hello": "Hello! How can I help?",
    "thanks": "You're welcome. Is there anything else I can help you with?",
    "goodbye": "Thank you for contacting us. Have a good day!",
}
"""The brain's own sentences; a project replaces them in `chat/phrases.yaml`."""

_YES = frozenset(
    words(
        "yes yeah yep yup ya aye sure ok okay please absolutely definitely certainly correct right fine alright"
        " ja jawohl gerne oui sí si claro sim"
    )
)
_NO = frozenset(words("no nope nah not never don't nein non não nee"))
_YES_PHRASES = (
    *("of course", "go ahead", "please do", "do it", "do that", "sounds good", "sounds great", "why not"),
    *("that would be", "that'd be", "i would", "i'd like", "i'd love", "let's do", "i agree", "i do", "do so"),
    *("go for it", "all right", "send it", "send me", "bitte", "de acuerdo", "d'accord"),
)
_NO_PHRASES = (
    *("maybe later", "not now", "not today", "no thank", "i'd rather not", "leave it", "i'm good", "i disagree"),
    *("i don't", "rather not", "forget it", "lieber nicht"),
)
_LONGEST_ANSWER = 8
"""Words of an answer that does not start with yes or no."""

_PERSON = (
    r"(?:human|humans|person|people|agent|representative|rep|advisor|adviser|operator|someone|somebody"
    r"|colleague|manager|supervisor|employee|customer service|customer support|support team|real one)"
)
_HUMAN_WISH = re.compile(
    rf"\b(?:speak|talk|chat|connect|connected)(?:ing)? (?:me )?(?:to|with) .*\b{_PERSON}\b"
    rf"|\b(?:transfer|connect) me\b|\bput me (?:through|on)\b|\b(?:real|live|actual) {_PERSON}\b"
    rf"|\b(?:want|need|get|give) (?:me )?(?:an? |the |some )?(?:human|person|agent|representative|operator)\b"
    r"|\bhuman (?:being|agent|please|help)\b|^(?:please )?(?:an? )?"
    r"(?:human|person|agent|representative|operator)(?: please)?$"
)
_ORDINALS = (("1", "1st", "first", "former"), ("2", "2nd", "second", "latter"), ("3", "3rd", "third"))
_AROUND_ORDINALS = frozenset(words("the one option number please that take i i'll i'd"))
_GREETING_WORDS = frozenset(
    words("hi hello hey hiya good morning afternoon evening day there again hallo hola bonjour ciao")
)
_POLITE_WORDS = frozenset(
    words(
        "thanks thank thx cheers you very much so a lot that's that is was all for your the help great perfect ok okay"
        " lovely no nothing else bye goodbye now it everything have nice day see brilliant nope and many"
        " i'm done danke gracias merci"
    )
)


class SmallTalk(StrEnum):
    """Politeness that no topic needs to answer; the values are keys of PHRASES."""

    HELLO = "hello"
    THANKS = "thanks"
    GOODBYE = "goodbye"


def read_consent(text: str) -> bool | None:
    """Tell whether `text` is a yes (True), a no (False) or neither (None)."""
    found = words(text)
    if not found:
        return None
    if found[0] in _NO:
        return False
    if found[0] in _YES:
        return not (len(found) > 1 and found[1] in _NO)
    line = f" {' '.join(found)} "
    if len(found) > _LONGEST_ANSWER:
        return None
    if any(f" {phrase}" in line for phrase in _NO_PHRASES):
        return False
    if any(f" {phrase}" in line for phrase in _YES_PHRASES) or found[-1] in _YES:
        return True
    return None


def wants_human(text: str) -> bool:
    """Tell whether `text` is a direct wish for a human."""
    return _HUMAN_WISH.search(" ".join(words(text))) is not None


def ordinal(text: str, choices: int) -> int | None:
    """Give which of so many `choices` is meant by "2" or "the first one", counted from 0; None when none is."""
    found = [word for word in words(text) if word not in _AROUND_ORDINALS]
    if len(found) != 1:
        return None
    place = next((number for number, names in enumerate(_ORDINALS) if found[0] in names), choices)
    return place if place < choices else None


def small_talk(text: str) -> SmallTalk | None:
    """Tell which politeness `text` is, if it is nothing else."""
    found = set(words(text))
    if found and found <= _GREETING_WORDS and found & {"hi", "hello", "hey", "hiya", "good", "hallo", "hola"}:
        return SmallTalk.HELLO
    if found and found <= _POLITE_WORDS:
        if found & {"bye", "goodbye", "all", "nothing", "else", "done"}:
            return SmallTalk.GOODBYE
        if found & {"thanks", "thank", "thx", "cheers", "danke", "gracias", "merci"}:
            return SmallTalk.THANKS
    return None
