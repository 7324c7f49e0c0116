"""Turns what a project tells its agent to ask into what the agent asks."""

import re

_WHO = r"(?:customer|user|caller|guest|patient|client|visitor|member|passenger|tenant|student|person)"
_QUESTION_WORD = r"(?:(?:on|at|by|in|to|with|from|about) )?(?:what|which|when|where|how|who|why|whether|if)\b"
_ASK_CLAUSE = re.compile(rf"\bask (?:(?:the {_WHO}|them) )?(?P<what>{_QUESTION_WORD}[^.?!:{{“\"]+)", re.IGNORECASE)
_ASK_FOR = re.compile(rf"\bask (?:(?:the {_WHO}|them) )?for (?P<what>[^.?!:{{“\"]+)", re.IGNORECASE)
_THEN = re.compile(
    r",?\s*(?:\b(?:and|then)\b\s*)+(?:call|use|run|go|proceed|continue)\b.*$|[\s,;-]+$", re.IGNORECASE | re.DOTALL
)
_OWN_QUESTION = re.compile(r"(?:^|(?<=[.!:\n]))\s*([A-Z][^.!?:\n]*\?)")
_IRREGULAR = {"has": "have", "is": "are", "was": "were", "does": "do"}
_ABOUT_THEM = re.compile(rf"\b(?:the {_WHO}|they)\b(?: ([a-z]+)\b)?", re.IGNORECASE)


def asked_clause(sentence: str) -> str:
    """Give the question in "ask the customer what they need"; "" when the sentence wants none asked."""
    match = _ASK_CLAUSE.search(sentence)
    return _please(match["what"]) if match else ""


def asked_for(sentence: str) -> str:
    """Give the question in "ask for their postcode"; "" when the sentence asks for nothing."""
    match = _ASK_FOR.search(sentence)
    return _please(match["what"]) if match else ""


def own_question(prompt: str) -> str:
    """Give the first sentence of a prompt that is a question itself; "" when none is."""
    match = _OWN_QUESTION.search(prompt)
    return match[1].strip() if match else ""


def _please(clause: str) -> str:
    clause = _THEN.sub("", clause.strip())
    return f"Please tell me {addressed(clause)}." if clause else ""


def addressed(clause: str) -> str:
    """Turn what is said about the customer into what is said to the customer."""
    clause = re.sub(rf"\bthe {_WHO}'s\b|\btheir\b", "your", clause, flags=re.IGNORECASE)
    clause = _ABOUT_THEM.sub(_you, clause)
    clause = re.sub(r"\bthem\b", "you", clause, flags=re.IGNORECASE)
    return re.sub(r"^if\b", "whether", clause, flags=re.IGNORECASE)


def _you(match: re.Match[str]) -> str:
    verb = match[1]
    if verb is None:
        return "you"
    if verb in _IRREGULAR:
        return f"you {_IRREGULAR[verb]}"
    if match[0].lower().startswith("they") or not verb.endswith("s") or verb.endswith("ss"):
        return f"you {verb}"
    return f"you {verb[:-2] if verb.endswith(('shes', 'ches', 'sses')) else verb[:-1]}"
