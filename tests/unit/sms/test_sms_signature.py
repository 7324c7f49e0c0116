"""Signatures of the carrier's webhooks, judged by the carrier's own package (messaging-protocol.md §17.2, S5, S6)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from warmline.channels.sms.signature import is_genuine, signature

TOKEN = "12345"
VECTORS = [
    (
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ],
        "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
    ),
    (
        "https://warmline.example/sms",
        [
            ("MessageSid", "SM00000000000000000000000000000001"),
            ("AccountSid", "AC00000000000000000000000000000001"),
            ("From", "+14155550100"),
            ("To", "+14155550199"),
            ("Body", "Hello there"),
            ("NumMedia", "0"),
        ],
        "tvDrtt0fH+CESq05aGyJ6FdbInc=",
    ),
]


@pytest.mark.parametrize(("url", "form", "expected"), VECTORS)
def test_S5_both_vectors_validate_and_one_changed_byte_does_not(
    url: str, form: list[tuple[str, str]], expected: str
) -> None:
    assert signature(TOKEN, url, form) == expected
    assert is_genuine([TOKEN], url, form, expected)
    assert not is_genuine([TOKEN], url, [*form[:-1], (form[-1][0], form[-1][1] + "x")], expected)
    assert not is_genuine([TOKEN], url + "x", form, expected)
    assert not is_genuine([TOKEN], url, form, expected[:-2] + "A=")
    assert not is_genuine(["12346"], url, form, expected)
    assert not is_genuine([TOKEN], url, form, "")
    assert is_genuine(["12346", TOKEN], url, form, expected)


def test_S6_the_port_may_be_named_or_not() -> None:
    url, form, expected = VECTORS[1]
    assert is_genuine([TOKEN], url.replace(".example", ".example:443"), form, expected)
    named = url.replace(".example", ".example:8443")
    assert is_genuine([TOKEN], named, form, signature(TOKEN, named, form))
    assert is_genuine([TOKEN], url, form, signature(TOKEN, url.replace(".example", ".example:443"), form))


def test_S6_an_unknown_field_takes_part() -> None:
    url, form, _ = VECTORS[1]
    more = [*form, ("SomethingNew", "1")]
    assert is_genuine([TOKEN], url, more, RequestValidator(TOKEN).compute_signature(url, dict(more)))


_NAMES = st.text("ABCabc019", min_size=1, max_size=6)


@given(st.dictionaries(_NAMES, st.text(st.characters(codec="utf-8"), max_size=12), max_size=8))
def test_S5_the_carriers_own_package_agrees(form: dict[str, str]) -> None:
    url = "https://warmline.example/sms/twilio/c1?text=7&session=s"
    judged = RequestValidator(TOKEN).compute_signature(url, form)
    assert signature(TOKEN, url, list(form.items())) == judged
    assert RequestValidator(TOKEN).validate(url, form, signature(TOKEN, url, list(form.items())))


def test_S5_a_json_body_is_signed_by_its_digest() -> None:
    body = b'{"a": 1}'
    url = f"https://warmline.example/sms?bodySHA256={hashlib.sha256(body).hexdigest()}"
    given_signature = RequestValidator(TOKEN).compute_signature(url, {})
    assert is_genuine([TOKEN], url, [], given_signature, body=body)
    assert not is_genuine([TOKEN], url, [], given_signature, body=body + b" ")
