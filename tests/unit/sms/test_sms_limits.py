"""What customers may send (messaging-protocol.md §17.4, S13, S14), on a clock of the test's own."""

from warmline.channels.sms.limits import Limiter, SmsLimits, Verdict
from warmline.testing import ManualClock


async def test_S13_the_eleventh_text_in_a_minute_is_limited() -> None:
    clock = ManualClock()
    limiter = Limiter(SmsLimits(), clock)
    assert [limiter.judge("a", f"text {n}", clock.now()) for n in range(10)] == [Verdict.TAKEN] * 10
    assert limiter.judge("a", "eleventh", clock.now()) is Verdict.TOO_FAST
    assert limiter.judge("a", "twelfth", clock.now()) is Verdict.BLOCKED
    assert limiter.judge("b", "another customer", clock.now()) is Verdict.TAKEN
    await clock.advance(60)
    assert limiter.judge("a", "later", clock.now()) is Verdict.TAKEN
    for n in range(9):
        assert limiter.judge("a", f"later {n}", clock.now()) is Verdict.TAKEN
    assert limiter.judge("a", "again too many", clock.now()) is Verdict.TOO_FAST


async def test_S14_the_fifth_time_of_one_text_blocks_for_ten_minutes() -> None:
    clock = ManualClock()
    limiter = Limiter(SmsLimits(), clock)
    said = []
    for text in ["Hi", " hi", "HI", "hi "]:
        said.append(limiter.judge("a", text, clock.now()))
        await clock.advance(20)
    assert said == [Verdict.TAKEN] * 4
    assert limiter.judge("a", "hi", clock.now()) is Verdict.REPEATED
    assert limiter.judge("a", "something else", clock.now()) is Verdict.BLOCKED
    await clock.advance(599)
    assert limiter.judge("a", "something else", clock.now()) is Verdict.BLOCKED
    await clock.advance(1)
    assert limiter.judge("a", "hi", clock.now()) is Verdict.TAKEN


async def test_S14_the_same_text_now_and_then_is_fine() -> None:
    clock = ManualClock()
    limiter = Limiter(SmsLimits(), clock)
    for _ in range(12):
        assert limiter.judge("a", "yes", clock.now()) is Verdict.TAKEN
        await clock.advance(80)


async def test_more_than_a_hundred_texts_of_a_project_wait() -> None:
    clock = ManualClock()
    limiter = Limiter(SmsLimits(), clock)
    assert [limiter.wait("p") for _ in range(100)] == [0.0] * 100
    await clock.advance(20)
    assert limiter.wait("p") == 40.0
    assert limiter.wait("other") == 0.0
    await clock.advance(40)
    assert limiter.wait("p") == 0.0
