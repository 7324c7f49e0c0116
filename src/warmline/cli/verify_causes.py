"""Why a step of `warmline verify` most likely failed (webex-byoc.md §15.2, §17)."""


class StepFailed(Exception):
    """A step did not come to its end; `cause` is the most likely reason and what to do."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(text)
        self.cause = cause


NO_EMULATOR = "--play-agent works against Warmline's Webex emulator only, whose agents must be free."

NOT_ACCEPTED = (
    "the contact centre does not answer, or its events do not reach this server: `warmline doctor` tells which; "
    "state and reason: `warmline connect show {id}`."
)
NOBODY = (
    "no agent is available in the queue, the agents' multimedia profile has no room for the channel, or the entry "
    "point's flow does not queue."
)
NOT_ECHOED = (
    "the server accepts sockets but cannot store what they bring: see `warmline doctor` and the server's log; or a "
    "proxy before it does not pass WebSocket frames on."
)
NOT_CONFIRMED = (
    "the message was refused by the channel's policy, or the events for task messages do not reach this server: "
    "see the log for forward.undeliverable, and `warmline doctor`."
)
NO_ANSWER = (
    "nobody answered; or the asset's webhook URL or secret in Control Hub is not the one of this connection "
    "(`warmline connect show`; in the log: webhook.refused)."
)
NOT_ENDED = "nobody ended the conversation, or the events for tasks do not reach this server: `warmline doctor`."

_REASONS = {
    "CHANNEL_ASSET_UNDEFINED": "the business address or the channel's name is not exactly that of the asset.",
    "FEATURE_FLAG_DISABLED": "Custom Messaging is not enabled for the organization: ask your Cisco team.",
    "ENTRY_POINT_NOT_FOUND": "the asset has no entry point, or the entry point no active flow.",
    "ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED": "the organization's limit of digital contacts is reached; try again later.",
    "CONVERSATION_ALREADY_OPEN": "an older conversation of the same customer is still open: end it in the desktop.",
    "CONVERSATION_CREATION_FAILED": "Webex has a problem of its own; try again, then ask Cisco with the task's id.",
    "INVALID_CONTENT": "the channel's policy refuses the first message: compare the fields policy.… with Control Hub.",
    "auth_failed": "Webex does not accept the tokens any more: `warmline connect rotate … client` with new ones.",
    "scope_missing": "a scope is missing: grant it to the service app, authorize it again, and give the new tokens.",
    "misconfigured": "the connection is not usable; its reason: `warmline connect list`.",
    "not_started": "the connection is still being started: try again in a minute, then see `warmline doctor`.",
    "token_endpoint_unavailable": "no access token can be had: the token endpoint cannot be reached.",
    "certificate_refused": "this server does not trust the certificate it is shown: `warmline doctor` says why.",
    "tls_failed": "no TLS connection comes about: `warmline doctor` says why.",
    "unavailable": "Webex does not answer, or answers with errors: its status page, and `warmline doctor`.",
    "not_connected": "the server knows no such connection: it was made while the server ran; start the server anew.",
}


def failure_cause(event: str, reason: str, otherwise: str) -> str:
    """Say why a handoff most likely ended too early, from what the customer's side was told."""
    for code, text in _REASONS.items():
        if code.lower() in reason.lower():
            return text
    if event == "HANDOFF_TIMEOUT":
        return NOBODY
    if event == "SESSION_END":
        return "the conversation was ended before the step was over."
    return otherwise
