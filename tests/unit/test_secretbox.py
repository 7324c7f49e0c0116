"""Sealing and opening secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.domain.errors import ConfigError
from warmline.ports import SealedBy
from warmline.store.secretbox import AesSecretBox

OLD, NEW = "the-old-key-of-the-shop", "the-new-key-of-the-shop"


@given(st.binary(max_size=100))
def test_what_was_sealed_opens(plain: bytes) -> None:
    box = AesSecretBox(NEW)
    sealed = box.seal(plain)
    assert box.open(sealed) == plain
    assert AesSecretBox(NEW).open(sealed) == plain, "the key depends on nothing but the secret"


def test_sealing_twice_gives_different_bytes_without_the_text() -> None:
    box = AesSecretBox(NEW)
    first, second = box.seal(b"swordfish"), box.seal(b"swordfish")
    assert first != second
    assert b"swordfish" not in first


def test_a_previous_key_still_opens_and_the_current_one_seals() -> None:
    sealed = AesSecretBox(OLD).seal(b"x")
    both = AesSecretBox(NEW, [OLD])
    assert both.open(sealed) == b"x"
    assert AesSecretBox(NEW).open(both.seal(b"y")) == b"y"


def test_which_key_opens_is_told() -> None:
    both = AesSecretBox(NEW, [OLD])
    old, new = AesSecretBox(OLD).seal(b"x"), both.seal(b"x")
    assert [both.sealed_by(sealed) for sealed in (new, old)] == [SealedBy.CURRENT, SealedBy.PREVIOUS]
    assert AesSecretBox(NEW).sealed_by(old) is SealedBy.UNKNOWN
    assert both.sealed_by(old[:-1] + bytes([old[-1] ^ 1])) is SealedBy.DAMAGED


@pytest.mark.parametrize("length", range(34))
def test_what_was_cut_off_is_refused(length: int) -> None:
    box = AesSecretBox(NEW)
    cut = box.seal(b"x")[:length]
    assert box.sealed_by(cut) is (SealedBy.UNKNOWN if length < 5 else SealedBy.DAMAGED)
    with pytest.raises(ConfigError, match="WARMLINE_SECRET_KEY"):
        box.open(cut)


def test_another_key_is_named_as_the_cause() -> None:
    with pytest.raises(ConfigError, match=r"WARMLINE_SECRET_KEY.*another key"):
        AesSecretBox(NEW).open(AesSecretBox(OLD).seal(b"x"))


@given(st.integers(min_value=0, max_value=200), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, flip: int) -> None:
    box = AesSecretBox(NEW)
    sealed = bytearray(box.seal(b"some secret"))
    sealed[position % len(sealed)] ^= flip
    with pytest.raises(ConfigError, match="WARMLINE_SECRET_KEY"):
        box.open(bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01abcd", b"plain text that was never sealed"])
def test_what_was_never_sealed_is_refused(sealed: bytes) -> None:
    with pytest.raises(ConfigError, match="WARMLINE_SECRET_KEY"):
        AesSecretBox(NEW).open(sealed)


def test_a_short_key_is_refused_without_naming_it() -> None:
    with pytest.raises(ConfigError) as refused:
        AesSecretBox("hunter2")
    assert "hunter2" not in str(refused.value)
    assert "at least 16" in str(refused.value)
