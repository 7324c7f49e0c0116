"""The search of the whole-server tests' logs finds what it looks for."""

from support.private import betrayed


def test_words_secrets_and_numbers_are_found_in_a_log() -> None:
    log = '{"event": "x", "note": "my name is Wilhelmina"}\n{"token": "abcdefgh12345"}\n{"to": "+44 7700 900123"}'
    said = ["Hello!\nmy name is Wilhelmina", "another thing"]
    assert betrayed(log, said=said, secrets=["abcdefgh12345", ""]) == [
        "my name is Wilhelmina",
        "a secret: abcd…",
        "+44 7700 900123",
    ]


def test_ids_states_and_counts_are_fine() -> None:
    log = '{"event": "opening.adopted", "session_id": "98d3ac2f-f827-4822-a6ca-59dac1c9039f", "at": "2026-11-22"}'
    assert betrayed(log, said=["adopted", "a word with blanks"], secrets=["0123456789"]) == []
