"""Events come, agents' words do not: the operator hears of it (webex-byoc.md §17, race 24)."""

from dataclasses import replace
from typing import Any

from structlog.testing import capture_logs

from support.scripted_http import ScriptedServer
from support.webex import fixture, link, raw, row
from warmline.domain import commands as c
from warmline.handoff.contract import ProviderEnvironment
from warmline.handoff.providers.webex import provider as webex
from warmline.handoff.providers.webex.paths import IN_A_ROW, SILENT
from warmline.testing import ManualClock

from .conftest import Outside, connection_to, with_clock

ALARM = "webex.asset_webhook_silent"


def tell(provider: webex.WebexProvider, name: str, task_id: str) -> Any:
    """A webhook of that task is read."""
    event = fixture(name)
    event["data"]["taskId"] = task_id
    news = replace(row(event), remote_id=task_id, key=f"{name} {task_id}", body=raw(event))
    return provider.parse(news, link(task_id, handoff_id=task_id), news.received_at).command


def mute(provider: webex.WebexProvider, task_id: str) -> None:
    """A conversation in which no agent's word arrives; its news are read twice, as after a crash."""
    for name, command in (("task_connected", c.AgentJoined), ("task_ended", c.ConversationEnded)):
        assert isinstance(tell(provider, name, task_id), command)
        tell(provider, name, task_id)


async def test_A86_three_conversations_without_an_agents_word_raise_the_alarm(
    scripted: ScriptedServer, environment: ProviderEnvironment, outside: Outside
) -> None:
    clock = ManualClock()
    provider = webex.create(connection_to(scripted.url), with_clock(environment, clock))
    await provider.start()
    with capture_logs() as logs:
        for number in range(IN_A_ROW + 2):
            mute(provider, f"task-{number}")
    assert [entry["log_level"] for entry in logs if entry["event"] == ALARM] == ["error"]
    await provider.start()
    assert outside.states[-1] == ("connected", SILENT)
    tell(provider, "appended_outbound_agent", "task-9")
    await provider.start()
    assert outside.states[-1] == ("connected", "")
    await provider.stop()


async def test_A86_conversations_in_which_an_agent_spoke_or_never_came_are_no_alarm(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    provider = webex.create(connection_to(scripted.url), environment)
    with capture_logs() as logs:
        for number in range(4 * IN_A_ROW):
            if number % IN_A_ROW:
                mute(provider, f"task-{number}")
            else:
                tell(provider, "task_connected", f"task-{number}")
                tell(provider, "appended_outbound_agent", f"task-{number}")
                tell(provider, "task_ended", f"task-{number}")
            tell(provider, "task_ended", f"nobody-came-{number}")
    assert [entry for entry in logs if entry["event"] == ALARM] == []
