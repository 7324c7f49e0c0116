"""How a session reads as text messages, and what silence leads to (messaging-protocol.md §17, webex-byoc.md §12.3)."""

from dataclasses import replace

import pytest

from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texting
from warmline.domain.decide import Decision, decide
from warmline.domain.effects import SendText, stream_key
from warmline.domain.errors import SessionNotFound
from warmline.domain.line import HOUR_MS, MINUTE_MS, Line
from warmline.domain.messages import Attachment, AttachmentKind, CallAction, LiveAgent, Say
from warmline.domain.session import Session, evolve
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome

LINE = Line(connection_id="sms", number="+14155550199", customer="+14155550100")
PICTURE = Attachment(content_url="https://f/1.png", kind=AttachmentKind.IMAGE, title="Meter")


class Talk:
    """A session over SMS whose commands are decided and folded."""

    def __init__(self, line: Line = LINE) -> None:
        self.session = Session(id="session")
        self.sent: list[str] = []
        self.last = Decision()
        self.do(c.StartSession(at=1, channel="sms.polyai", line=line))

    def do(self, command: c.Command) -> list[str]:
        """Decide and fold; returns the texts that it sends."""
        self.last = decide(self.session, command)
        for event in self.last.events:
            place = self.session.last_sequence + 1
            self.session = evolve(self.session, e.Recorded(sequence=place, id=str(place), at=command.at, event=event))
        texts = [effect.text for effect in self.last.effects if isinstance(effect, SendText)]
        self.sent += texts
        return texts

    def write(self, text: str, at: int = 10) -> list[str]:
        return self.do(c.PostUserMessage(at=at, message_id=text, text=text))

    def turn(self, *says: Say, at: int = 11, kind: TurnKind = TurnKind.MESSAGE, **more: object) -> list[str]:
        answers = self.session.unanswered[-1].sequence if kind is TurnKind.MESSAGE else 0
        outcome = TurnOutcome(says=says, handoff=HandoffRequest(integration="x") if "plan" in more else None)
        ids = tuple(f"say-{n}" for n, _ in enumerate(says))
        return self.do(c.ApplyTurn(at=at, kind=kind, outcome=outcome, message_ids=ids, answers=answers, **more))  # type: ignore[arg-type]

    def hand_off(self, **plan: object) -> None:
        self.do(c.RequestJoin(at=2))
        self.write("Human, please")
        made = c.HandoffPlan(handoff_id="h", connection_id="webex", provider="webex", queue_timeout_s=60)
        self.turn(Say(text="One moment."), plan=replace(made, **plan))  # type: ignore[arg-type]

    def told(self, kind: type[c.ProviderCommand], at: int = 20, **more: object) -> list[str]:
        return self.do(kind(at=at, handoff_id="h", **more))  # type: ignore[arg-type]


def test_utterances_of_one_turn_become_one_text() -> None:
    talk = Talk()
    talk.do(c.RequestJoin(at=2))
    assert talk.turn(Say(text="Hello."), Say(text="How can I help?"), kind=TurnKind.START) == [
        "Hello.\nHow can I help?"
    ]
    assert talk.write("My bill") == []
    bold = Say(text="See **this** [page](https://x.example/a_b_c), it's `easy`.", suggestions=("Yes", "No"))
    assert talk.turn(bold) == ["See this page: https://x.example/a_b_c, it's easy."]


def test_cards_are_lines_and_pictures_go_as_mms_where_the_number_can() -> None:
    card = Attachment(content_url="https://x.example", title="Tariffs")
    call = CallAction(contact_number="+44800", title="Call us")
    say = Say(text="Look:", attachments=(PICTURE, card), call_actions=(call,))
    plain = Talk()
    plain.do(c.RequestJoin(at=2))
    plain.write("?")
    assert plain.turn(say) == ["Look:\nMeter: https://f/1.png\nTariffs: https://x.example\nCall us: +44800"]
    mms = Talk(replace(LINE, mms=True))
    mms.do(c.RequestJoin(at=2))
    mms.write("?")
    assert mms.turn(say) == ["Look:\nTariffs: https://x.example\nCall us: +44800"]
    (sent,) = [effect for effect in mms.last.effects if isinstance(effect, SendText)]
    assert sent.media == ("https://f/1.png",)
    mms.write("Only the picture")
    assert mms.turn(Say(text="", attachments=(PICTURE,))) == [""]


def test_a_handoff_reads_as_the_sms_column_says() -> None:
    talk = Talk()
    talk.hand_off()
    assert talk.sent == ["One moment."]
    assert talk.told(c.ConversationOpened) == []
    assert talk.told(c.ConversationQueued, queue_name="support") == ["You're in the queue."]
    assert talk.told(c.ConversationQueued, queue_name="support", position=2) == []
    assert talk.told(c.AgentJoined, agent=LiveAgent(id="a", name="Maya")) == ["You're now chatting with Maya."]
    said = talk.told(c.AgentMessage, message_id="m", text="Hello", attachments=(PICTURE,), agent=LiveAgent(id="a"))
    assert said == ["Hello\nMeter: https://f/1.png"]
    assert talk.write("Thanks", at=30) == []
    assert talk.told(c.MessageConfirmed, message_id="Thanks") == []
    assert talk.told(c.ConversationEnded, at=40) == ["This chat has ended."]


def test_sentences_can_be_changed_and_silenced() -> None:
    talk = Talk(replace(LINE, sentences={"queued": "", "joined": "{name} here", "ended": "Bye"}))
    talk.hand_off()
    assert talk.told(c.ConversationQueued) == []
    assert talk.told(c.AgentJoined, agent=LiveAgent(id="a")) == ["an agent here"]
    assert talk.told(c.ConversationEnded) == ["Bye"]


def test_a_failed_handoff_is_told_once_and_the_virtual_agent_goes_on() -> None:
    talk = Talk()
    talk.hand_off()
    assert talk.told(c.OpenFailed, reason="x") == ["Sorry, we could not connect you to an agent. Please try again."]
    assert any(effect for effect in talk.last.effects if not isinstance(effect, SendText))
    back = Talk()
    back.hand_off(return_after_live=True)
    back.told(c.AgentJoined, agent=LiveAgent(id="a", name="Maya"))
    assert back.told(c.ConversationEnded) == ["This chat has ended. You're back with our virtual assistant."]


def test_S18_silence_is_asked_about_after_a_day_and_ends_the_session_ten_minutes_later() -> None:
    talk = Talk()
    talk.do(c.RequestJoin(at=2))
    assert talk.session.silent_until == 0
    assert talk.do(c.Silence(at=99 * HOUR_MS)) == []
    talk.write("Hi", at=1000)
    (timer,) = talk.last.timers
    assert timer.due == 1000 + 24 * HOUR_MS  # type: ignore[union-attr]
    assert talk.do(c.Silence(at=timer.due - 1)) == []  # type: ignore[union-attr]
    (asked,) = talk.do(c.Silence(at=timer.due))  # type: ignore[union-attr]
    assert "10 minutes" in asked
    assert talk.write("Yes, here", at=timer.due + 5 * MINUTE_MS) == []  # type: ignore[union-attr]
    due = talk.session.silent_until
    assert due == timer.due + 5 * MINUTE_MS + 24 * HOUR_MS  # type: ignore[union-attr]
    assert len(talk.do(c.Silence(at=due))) == 1
    assert talk.do(c.Silence(at=due + 10 * MINUTE_MS - 1)) == []
    assert talk.do(c.Silence(at=due + 10 * MINUTE_MS)) == [texting.SENTENCES["closed"]]
    assert talk.session.ended is e.EndReason.USER_ABANDONED


def test_S18_other_ends_are_not_told_as_silence() -> None:
    talk = Talk()
    talk.do(c.RequestJoin(at=2))
    assert talk.do(c.EndByUser(at=3)) == []
    with pytest.raises(SessionNotFound):
        talk.do(c.TellCustomer(at=4, text="x"))


def test_S15_a_seeded_session_has_its_greeting_and_the_projects_own_is_left_out() -> None:
    talk = Talk()
    assert talk.do(c.RequestJoin(at=2, greeting="Your order is here.", greeting_id="g")) == ["Your order is here."]
    assert talk.turn(Say(text="Hello, how can I help?"), kind=TurnKind.START) == []
    talk.write("Where?")
    assert talk.turn(Say(text="At the door.")) == ["At the door."]
    assert talk.do(c.RequestJoin(at=9, greeting="Again", greeting_id="g2")) == []


def test_what_warmline_says_goes_out_also_to_who_has_unsubscribed() -> None:
    talk = Talk()
    assert talk.do(c.TellCustomer(at=2, text="You are out.", always=True, end=True)) == ["You are out."]
    (sent,) = [effect for effect in talk.last.effects if isinstance(effect, SendText)]
    assert sent.always
    assert talk.session.ended is e.EndReason.NATURAL_END


def test_texts_of_functions_are_sent_unless_the_turn_failed() -> None:
    wish = texting.send(LINE, "Your code is 1")
    web = Session(id="w")
    for place, event in enumerate((e.SessionStarted(channel="webchat.polyai"), e.VirtualAgentJoined()), start=1):
        web = evolve(web, e.Recorded(sequence=place, id=str(place), at=1, event=event))
    turn = c.ApplyTurn(at=2, kind=TurnKind.START, outcome=TurnOutcome(), message_ids=(), texts=wish)
    assert decide(web, turn).effects == wish
    assert wish[0] not in decide(web, replace(turn, outcome=TurnOutcome(failed=True))).effects


def test_S17_long_texts_are_divided_between_words_and_lose_nothing() -> None:
    text = " ".join(f"word{n}" for n in range(700))
    pieces = texting.split(text)
    assert all(len(piece) <= 1600 for piece in pieces)
    assert " ".join(pieces) == text
    assert texting.split("x" * 3300) == ["x" * 1600, "x" * 1600, "x" * 100]
    assert texting.split("😀" * 801) == ["😀" * 800, "😀"]
    assert texting.split("") == []
    sent = texting.send(LINE, text, media=("https://f",))
    assert [bool(one.media) for one in sent] == [False, False, False, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<p>Hi <b>you</b></p><ul><li>one</li><li>two</li></ul>&amp;", "Hi you\none\ntwo\n&"),
        ('<a href="https://x">here</a>', "here: https://x"),
        ("2 * 3 * 4 = 24 and a_b_c", "2 * 3 * 4 = 24 and a_b_c"),
        ("# Head\n**bold** _it_ __b__", "Head\nbold it b"),
        ("1 < 2 and <script>x</script>", "1 < 2 and <script>x</script>"),
        ("[https://x](https://x)", "https://x"),
    ],
)  # fmt: skip
def test_words_only(text: str, words: str) -> None:
    assert texting.plain(text) == words


def test_streams_are_by_line_and_show_no_number() -> None:
    (one,) = texting.send(LINE, "a")
    (same,) = texting.send(LINE, "b")
    (other,) = texting.send(replace(LINE, customer="+14155550101"), "a")
    assert stream_key("s1", one) == stream_key("s2", same) != stream_key("s1", other)
    assert "4155" not in stream_key("s1", one)
