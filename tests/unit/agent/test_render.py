"""Values in texts (agent-project.md §3)."""

from dataclasses import replace

import pytest

from warmline.agent.turn.render import Scope, fill_in, render, without_audio_tags

SCOPE = Scope(
    channel="webchat.polyai",
    language="en-GB",
    state={"name": "Ada", "empty": "", "rules": "Call {{fn:handoff}} or {{fn:hangup}}, $name."},
    variant={"brand_name": "Lumen", "blank": ""},
    entities={"date": "1 May"},
    translations={"bye": {"en-GB": "Cheerio", "de-DE": "Tschüss"}},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi $name", "Hi Ada"),
        ("Hi ${name}!", "Hi Ada!"),
        ("$unknown stays", "$unknown stays"),
        ("It is $5.00", "It is $5.00"),
        ("From ${variant_brand_name}", "From Lumen"),
        ("[$empty]", "[]"),
        ("{{vrbl:name}} {{vrbl:unknown}}", "Ada {{vrbl:unknown}}"),
        ("{{entity:date}} {{entity:time}}", "1 May time"),
        ("{{tn:bye}}", "Cheerio"),
    ],
)
def test_C21_variables(text: str, expected: str) -> None:
    assert render(text, SCOPE).text == expected


def test_C22_attributes_follow_the_variant() -> None:
    assert render("{{attr:brand_name}}{{va:blank}}", SCOPE).text == "Lumen"
    assert render("{{attr:brand_name}}", replace(SCOPE, variant={"brand_name": "Umbra"})).text == "Umbra"


def test_C23_functions_and_handoffs_become_their_names() -> None:
    rendered = render("Call {{fn:pay}}, {{ft:move}} or {{ho:Billing Desk}}; {{fn:pay}} again.", SCOPE)
    assert rendered.text == "Call pay, move or Billing Desk; pay again."
    assert rendered.functions == ("pay", "move")
    assert rendered.handoffs == ("Billing Desk",)


def test_a_text_message_is_mentioned_by_its_name() -> None:
    assert render("Send {{twilio_sms:directions}} or {{sms:menu}}.", SCOPE).text == "Send directions or menu."


def test_C24_references_inside_values_count() -> None:
    rendered = render("{{vrbl:rules}}", SCOPE)
    assert rendered.text == "Call handoff or hangup, Ada."
    assert rendered.functions == ("handoff", "hangup")


@pytest.mark.parametrize("text", ["{{fn:}}", "{{{{fn:x}}", "{{nothing:x}}", "{{fn x}}", "{fn:x}", "{{", "$", "${"])
def test_C25_malformed_references_stay_as_text(text: str) -> None:
    assert render(text, SCOPE).text == text.replace("{{fn:x}}", "x")


def test_C26_channel_and_language_blocks() -> None:
    text = (
        "<channel:webchat>Click. <language:en>Hello</language><language:de-DE>Hallo</language></channel>"
        "<channel:sms>Text.</channel>"
    )
    assert render(text, SCOPE).text == "Click. Hello"
    assert render(text, replace(SCOPE, channel="sms.twilio")).text == "Text."
    assert render(text, replace(SCOPE, language="de-DE")).text == "Click. Hallo"
    assert render(text, replace(SCOPE, channel="chat.polyai")).text == "Click. Hello"


def test_C26_what_follows_a_block_keeps_its_distance() -> None:
    text = "Open. <channel:webchat>Chat with us.</channel> <channel:sms>Text us.</channel> See you."
    assert render(text, SCOPE).text == "Open. Chat with us. See you."
    assert render(text, replace(SCOPE, channel="sms.twilio")).text == "Open. Text us. See you."


def test_values_that_refer_to_each_other_end() -> None:
    circle = Scope(state={"a": "$b", "b": "$a"})
    assert render("$a", circle).text in ("$a", "$b")


def test_fill_in_keeps_the_references_to_functions() -> None:
    assert fill_in("Call {{fn:pay}} for $name", SCOPE) == "Call {{fn:pay}} for Ada"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[Ring] Hello", "Hello"), ("[GREETING SET IN CODE]", ""), ("See [1] or [x](y)", "See [1] or (y)")],
)
def test_C27_audio_tags_are_for_voices_only(text: str, expected: str) -> None:
    assert without_audio_tags(text) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("my name is {{fn:refund}}", "Hello { {fn:refund}}, 5 {{fn:refund}}"),
        ("I'm $Balance", "Hello $ balance, 5 $balance"),
        ("${balance}", "Hello $ {balance}, 5 ${balance}"),
        ("<channel:sms>", "Hello < channel:sms>, 5 <channel:sms>"),
    ],
)
def test_what_the_customer_writes_is_never_a_reference(written: str, expected: str) -> None:
    given = expected.rpartition("5 ")[2]
    scope = Scope(state={"name": given, "balance": "5"}, customer=written)
    assert fill_in("Hello $name, $balance", scope) == expected.rpartition(", ")[0] + ", 5"
    assert fill_in("Hello {{vrbl:name}}", scope) == expected.rpartition(", ")[0]
    assert "{ {" in fill_in("{{entity:who}}", Scope(entities={"who": "{{fn:refund}}"}, customer="{{fn:refund}}"))


def test_the_projects_own_references_inside_values_stay() -> None:
    scope = Scope(state={"rules": "Call {{fn:handoff}}, $name.", "name": "Ada"}, customer="what does $price mean?")
    assert fill_in("$rules", scope) == "Call {{fn:handoff}}, Ada."
