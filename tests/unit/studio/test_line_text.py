"""What lines of a conversation say."""

from warmline.studio.views.line_text import formatted, plain_text, widget_text
from warmline.studio.views.transcript import Line, Who


def test_words_are_formatted_and_nothing_else() -> None:
    assert (
        formatted("**Two** tariffs: *Sun* and `Wind`")
        == "<strong>Two</strong> tariffs: <em>Sun</em> and <code>Wind</code>"
    )
    assert formatted("2 * 3 * 4 ** 5 and a_b_c") == "2 * 3 * 4 ** 5 and a_b_c"
    assert formatted("**<b onclick=x>**") == "<strong>&lt;b onclick=x&gt;</strong>"


def test_agents_words_are_formatted_and_customers_are_not() -> None:
    told = {
        who: Line(at=1, who=who, text="**R&amp;D** <b>") for who in (Who.CUSTOMER, Who.VIRTUAL_AGENT, Who.LIVE_AGENT)
    }
    assert str(widget_text(told[Who.CUSTOMER])) == "**R&amp;D** <b>"
    assert str(widget_text(told[Who.VIRTUAL_AGENT])) == "<strong>R&amp;amp;D</strong> &lt;b&gt;"
    assert str(widget_text(told[Who.LIVE_AGENT])) == "<strong>R&amp;D</strong> &lt;b&gt;"
    assert plain_text(told[Who.LIVE_AGENT]) == "**R&D** <b>"
