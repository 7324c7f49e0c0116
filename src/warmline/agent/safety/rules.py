"""The rule-based filter: plain words, in English. It needs nothing, misses much, and seldom stops a harmless text.

Customers write of such things in earnest: they report violence, ask for help, quote what was said to them. So the
lenient level only knows what is said to hurt, and only strict stops at the mere subject. Who needs more sets up a
moderation endpoint.
"""

import re
from collections.abc import Mapping

from warmline.agent.safety.port import Direction, Verdict

_LEVELS = ("lenient", "medium", "strict")

_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "violence": {
        "lenient": (
            r"\b(?:i(?:'ll| will| am going to|'m going to| want to)|let's|we(?:'ll| will)) "
            r"(?:kill|murder|shoot|stab|strangle|behead|bomb) (?:you|him|her|them|people|everyone)\b",
            r"\bhow (?:do i|to|can i) (?:make|build) (?:a |an )?(?:pipe )?(?:bomb|explosive)",
        ),
        "medium": (r"\b(?:kill|murder|shoot|stab|strangle|behead) (?:you|him|her|them|people|everyone)\b",),
        "strict": (r"\b(?:bomb|massacre|torture|behead\w*|murder\w*|slaughter)\b",),
    },
    "hate": {
        "lenient": (
            r"\b(?:all|those|these) (?:\w+ )?(?:jews|muslims|christians|blacks|whites|gays|immigrants|foreigners"
            r"|women|men|disabled people) (?:should|must|deserve to) (?:die|be (?:killed|shot|gassed|deported))",
            r"\bgas the \w+",
        ),
        "medium": (
            r"\b(?:jews|muslims|christians|blacks|whites|gays|immigrants|foreigners|women|disabled people) are "
            r"(?:all )?(?:vermin|scum|subhuman|animals|parasites|filth|trash)",
            r"\bheil hitler\b",
        ),
        "strict": (r"\bi hate (?:all )?(?:jews|muslims|christians|blacks|whites|gays|immigrants|foreigners|women)\b",),
    },
    "sexual": {
        "lenient": (r"\b(?:child|kiddie|underage) (?:porn\w*|sex)\b",),
        "medium": (
            r"\b(?:have sex with (?:me|you)|send (?:me )?(?:your )?nudes|suck my|let's fuck|fuck me|jerk off|sext)\b",
        ),
        "strict": (r"\b(?:porn\w*|nudes?|blowjob|orgasm|masturbat\w*|erotic\w*)\b",),
    },
    "self_harm": {
        "lenient": (
            r"\bhow (?:do i|to|can i) (?:kill|hang|poison|cut) myself\b",
            r"\b(?:easiest|painless|best) way to (?:die|kill (?:myself|yourself))\b",
        ),
        "medium": (
            r"\b(?:i(?:'m| am)? (?:will|want to|going to|gonna)|i'll) (?:kill|hang|cut|hurt|harm) myself\b",
            r"\b(?:end my (?:own )?life|commit suicide)\b",
            r"\b(?:kill yourself|kys)\b",
        ),
        "strict": (r"\b(?:suicid\w*|self[- ]harm\w*|cutting myself)\b",),
    },
}

_INJECTION = (
    r"\b(?:ignore|disregard|forget|override) (?:all |any |every )?(?:of )?(?:the |your |my |these |those )?"
    r"(?:previous|prior|above|earlier|preceding|system|initial|original) (?:\w+ )?"
    r"(?:instructions?|prompts?|rules|directions|guidelines)",
    r"\b(?:ignore|disregard|forget) (?:all )?(?:of )?your (?:instructions|rules|guidelines|programming)\b",
    r"\b(?:reveal|show|print|repeat|output|tell) (?:me )?(?:all )?(?:of )?(?:your|the) "
    r"(?:system|hidden|secret|initial|original) (?:prompt|instructions?|message)",
    r"\byou are now (?:dan\b|in (?:developer|debug|god|jailbreak) mode|(?:an? )?unrestricted)",
    r"\b(?:enable|enter|activate) (?:developer|debug|god|jailbreak|dan) mode\b",
    r"<\|(?:im_start|im_end|system|endoftext)\|>",
    r"\[/?INST\]|<<SYS>>",
)


def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


_BY_LEVEL = {
    category: {
        level: _compiled(tuple(word for below in _LEVELS[: index + 1] for word in words[below]))
        for index, level in enumerate(_LEVELS)
    }
    for category, words in _WORDS.items()
}
_INJECTED = _compiled(_INJECTION)


class RuleFilter:
    """Implements `SafetyFilter` by patterns. Attempts to inject a prompt are always stopped (agent-project.md §2.8)."""

    async def judge(self, text: str, levels: Mapping[str, str], direction: Direction) -> Verdict | None:
        """Judge a text; see `SafetyFilter`."""
        plain = " ".join(text.replace("’", "'").split())
        if direction is Direction.INPUT and _INJECTED.search(plain):
            return Verdict("prompt_injection", "rules")
        for category, level in levels.items():
            if category in _BY_LEVEL and _BY_LEVEL[category][level].search(plain):
                return Verdict(category, "rules")
        return None
