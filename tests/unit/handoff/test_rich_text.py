"""Live agents' markup made fit for customers (messaging-protocol.md §11, webex-byoc.md §12.2)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.handoff.rich_text import customer_text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain", "plain"),
        ("  plain \n", "plain"),
        ("<p>Hello</p>", "Hello"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("<div>One</div><div>Two</div>", "One\n\nTwo"),
        ("<p>Fish &amp; chips&nbsp; &quot;now&quot;</p>", 'Fish & chips  "now"'),
        ("<strong>Bold</strong> <em>it</em> <code>x</code>", "<strong>Bold</strong> <em>it</em> <code>x</code>"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ('<a href="https://x.org/?a=1&amp;b=2" onclick="f()">x</a>', '<a href="https://x.org/?a=1&amp;b=2">x</a>'),
        ('<a href="javascript:alert(1)">x</a>', "<a>x</a>"),
        ("<span style='color:red'>red</span>", "red"),
        ("before<script>alert(1)</script>after", "beforeafter"),
        ("<style>p{}</style>x", "x"),
        ("<img src=x onerror=alert(1)>x", "x"),
        ("<!-- hidden -->x", "x"),
        ("<h1>Title</h1>text", "Title\n\ntext"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("I <3 you & them", "I <3 you & them"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "&lt;script>alert(1)&lt;/script>"),
        ("&lt;<p>script</p>", "&lt;\n\nscript"),
        ("1 &lt; 2", "1 < 2"),
        ("never closed <img src=x onerror=alert(1)", "never closed &lt;img src=x onerror=alert(1)"),
    ],
)
def test_A26_on_webchat(given_text: str, shown: str) -> None:
    assert customer_text(given_text) == shown


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("<p>Hello <strong>you</strong></p><p>&lt;3</p>", "Hello you\n\n<3"),
        ('<a href="https://x.org">here</a>', "here"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("a<br><br><br><br>b", "a\n\nb"),
        ("x<script>y</script>", "x"),
        ("a < b", "a < b"),
    ],
)
def test_A26_on_sms(given_text: str, shown: str) -> None:
    assert customer_text(given_text, markup=False) == shown


_PIECES = st.sampled_from(
    ["<", ">", "&lt;", "&gt;", "&amp;", "script", "/", "<p>", "</p>", "<b>", "</b>", "<script>", "</script>", "img ",
     "onerror=x", "a", " ", "\n", "<a href='", "'>", "javascript:", "<!--", "-->", "<br>", "<li>", "&#60;", "&nbsp;"]
)  # fmt: skip
_TAG = re.compile(r"<[A-Za-z/!?][^>]*>?")


def test_A26_a_link_that_does_not_say_where_it_leads_is_only_words() -> None:
    assert customer_text('<a href="/account">here</a>, <a href="<javascript:alert(1)">there</a>') == (
        "<a>here</a>, <a>there</a>"
    )
    assert customer_text('<a href=" HTTPS://x.example/">x</a>').startswith("<a href=")


@given(st.lists(_PIECES, max_size=14).map("".join))
def test_A26_whatever_comes_only_the_widgets_tags_are_left(text: str) -> None:
    for tag in _TAG.findall(customer_text(text)):
        assert re.fullmatch(r"</?(?:b|i|em|strong|code)>|</a>|<a(?: href=\"[^\"<>]*\")?>", tag), (text, tag)
        assert "javascript:" not in tag
