"""When the organization's limit of digital contacts becomes an alarm (webex-byoc.md §15.2)."""

import structlog

from warmline.handoff.providers.webex.crowding import CROWDED, LimitWatch

MINUTE = 60_000


def test_A71_more_than_three_refusals_in_five_minutes_raise_the_alarm_once() -> None:
    watch = LimitWatch("c")
    with structlog.testing.capture_logs() as logs:
        for minute in (0, 1, 2):
            watch.refused(10 * MINUTE + minute * MINUTE)
        assert (logs, watch.warning(12 * MINUTE)) == ([], "")
        watch.refused(14 * MINUTE)
        watch.refused(15 * MINUTE)
    assert [entry["event"] for entry in logs] == ["webex.contact_limit"]
    assert watch.warning(15 * MINUTE) == CROWDED
    assert watch.warning(80 * MINUTE) == ""


def test_refusals_far_apart_are_no_alarm() -> None:
    watch = LimitWatch("c")
    for hour in range(10):
        watch.refused((1 + hour) * 60 * MINUTE)
    assert watch.warning(11 * 60 * MINUTE) == ""
