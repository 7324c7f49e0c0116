"""What the platform's answer leads to: forward only (webex-byoc.md §18.2)."""

import pytest

from warmline.delivery.reconcile import forward
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain.handoff import HandoffState
from warmline.domain.session import Handoff
from warmline.handoff.contract import RemoteState, RemoteStatus

_S, _R = HandoffState, RemoteStatus


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (_S.REQUESTED, _R.OPEN, c.ConversationOpened),
        (_S.REQUESTED, _R.QUEUED, c.ConversationQueued),
        (_S.REQUESTED, _R.LIVE, c.AgentJoined),
        (_S.QUEUED, _R.LIVE, c.AgentJoined),
        (_S.QUEUED, _R.OPEN, None),
        (_S.QUEUED, _R.QUEUED, None),
        (_S.LIVE, _R.OPEN, None),
        (_S.LIVE, _R.QUEUED, None),
        (_S.LIVE, _R.LIVE, None),
        (_S.TRANSFERRING, _R.LIVE, None),
        (_S.TRANSFERRING, _R.QUEUED, None),
        *((state, _R.ENDED, c.ConversationEnded) for state in HandoffState if state is not _S.ENDED),
    ],
)
def test_it_never_leads_back(here: HandoffState, there: RemoteStatus, expected: type | None) -> None:
    handoff = Handoff(
        id="h",
        connection_id="c",
        provider="scripted",
        state=here,
        queue_timeout_s=900,
        on_failure=e.OnFailure.RESUME,
        return_after_live=False,
    )
    state = RemoteState(remote_id="r", status=there, ended_at=7, reason="Agent Left", agent_id="a")
    command = forward(state, handoff, 9)
    assert (None if command is None else type(command)) is expected
    if isinstance(command, c.ConversationEnded):
        assert (command.at, command.provider_at, command.reason) == (9, 7, "Agent Left")
    if isinstance(command, c.AgentJoined):
        assert (command.agent.id, command.provider_at) == ("a", 0), "their index does not tell when"
