"""Access tokens over a rotation of the installation's key."""

import pytest

from warmline.channels.messaging.tokens import AccessTokens, InvalidToken
from warmline.testing import ManualClock, SequentialIds

OLD, NEW = b"o" * 32, b"n" * 32


def test_tokens_of_a_former_secret_still_count() -> None:
    clock, ids = ManualClock(), SequentialIds()
    token = AccessTokens([OLD], clock, ids).issue("connector")
    assert AccessTokens([NEW, OLD], clock, ids).verify(token).connector_id == "connector"


def test_tokens_of_an_unknown_secret_do_not() -> None:
    clock, ids = ManualClock(), SequentialIds()
    token = AccessTokens([OLD], clock, ids).issue("connector")
    with pytest.raises(InvalidToken):
        AccessTokens([NEW], clock, ids).verify(token)


def test_the_first_secret_signs() -> None:
    clock, ids = ManualClock(), SequentialIds()
    token = AccessTokens([NEW, OLD], clock, ids).issue("connector")
    assert AccessTokens([NEW], clock, ids).verify(token).connector_id == "connector"
