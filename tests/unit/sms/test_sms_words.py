"""Keywords, segments, form fields: what texts are made of (messaging-protocol.md §17)."""

import pytest

from warmline.channels.sms.keywords import Keyword, keyword
from warmline.channels.sms.wire import inbound_text, text_status
from warmline.domain.segments import segments


@pytest.mark.parametrize("text", [" Stop! ", "unsubscribe", "QUIT.", "stopall", "Cancel", "end;", "\nSTOP\n", "quit ?"])
def test_S9_the_whole_text_is_a_keyword(text: str) -> None:
    assert keyword(text, opted_out=False) is Keyword.STOP


@pytest.mark.parametrize("text", ["stop it", "please stop", "STOP!!", "STOP STOP", "", "no", "ends"])
def test_S9_anything_else_is_for_the_agent(text: str) -> None:
    assert keyword(text, opted_out=False) is None
    assert keyword(text, opted_out=True) is None


def test_yes_answers_a_question_unless_the_customer_has_unsubscribed() -> None:
    assert keyword("Yes.", opted_out=False) is None
    assert keyword("Yes.", opted_out=True) is Keyword.START
    assert keyword("start", opted_out=False) is Keyword.START
    assert keyword("UNSTOP", opted_out=False) is Keyword.START
    assert keyword("help?", opted_out=False) is Keyword.HELP


@pytest.mark.parametrize(
    ("text", "encoding", "count"),
    [
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        ("я" * 70, "UCS-2", 1),
        ("я" * 71, "UCS-2", 2),
        ("€" * 80, "GSM-7", 1),
        ("€" * 81, "GSM-7", 2),
        ("a" * 159 + "€", "GSM-7", 2),
        ("😀" * 35, "UCS-2", 1),
        ("😀" * 36, "UCS-2", 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
        ("", "GSM-7", 1),
    ],
)
def test_S17_segments(text: str, encoding: str, count: int) -> None:
    found = segments(text)
    assert (found.encoding, found.count) == (encoding, count)


def test_S17_the_euro_sign_takes_two_places() -> None:
    assert segments("€").units == 2


FORM = {"MessageSid": "SM1", "From": "+14155550100", "To": "+14155550199", "Body": "Hi", "NumMedia": "0"}


def test_a_text_is_read_with_its_files() -> None:
    files = {"NumMedia": "2", "MediaUrl0": "https://m/0", "MediaContentType0": "image/png", "MediaUrl1": "https://m/1"}
    read = inbound_text(FORM | files | {"OptOutType": "stop", "New": "x"})
    assert [(m.url, m.mime_type) for m in read.media] == [("https://m/0", "image/png"), ("https://m/1", "")]
    assert (read.text, read.opt_out, read.sid) == ("Hi", "STOP", "SM1")


@pytest.mark.parametrize("wrong", [{"MessageSid": ""}, {"From": "anonymous"}, {"To": ""}, {"NumMedia": "-1"}])
def test_what_is_no_text_is_refused_by_field(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        inbound_text(FORM | wrong)


def test_news_of_a_text_are_read() -> None:
    news = text_status({"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"})
    assert (news.sid, news.status, news.error) == ("SM1", "undelivered", "30003")
    with pytest.raises(ValueError, match="MessageStatus"):
        text_status({"MessageSid": "SM1", "MessageStatus": "lost"})
