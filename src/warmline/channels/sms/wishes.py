"""Texts that the project's functions want sent, on any channel (`conv.send_sms…`)."""

from warmline.channels.sms.connections import SmsConnections
from warmline.channels.sms.sessions import Sessions
from warmline.channels.sms.wire import E164
from warmline.domain.effects import SendText
from warmline.domain.texting import plain, send
from warmline.domain.turn import Finding, SmsRequest
from warmline.ports import StoredSession


class Wishes:
    """Resolves wishes to messages over a connection (implements `turns.Texter`)."""

    def __init__(self, connections: SmsConnections, sessions: Sessions) -> None:
        self._connections = connections
        self._sessions = sessions

    async def __call__(self, stored: StoredSession, wish: SmsRequest) -> tuple[SendText, ...] | Finding:
        """The messages, or the finding that says what the operator must do. Raises StoreUnavailable."""
        if not E164.fullmatch(wish.to):
            return Finding(rule="sms_number", text="the number to send to is not an international one such as +44…")
        found = await self._connections.sender(stored.info.project_id, wish.from_number)
        if found is None:
            which = "has no SMS connection" if not wish.from_number else "has no SMS connection with that number"
            text = f"project {stored.info.project_id} {which}: add it with `warmline sms add`"
            return Finding(rule="sms_not_connected", text=text)
        connection, number = found
        return send(self._sessions.line(connection, number, wish.to), plain(wish.text))
