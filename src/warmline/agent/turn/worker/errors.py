"""The exceptions of the project format (agent-project.md §5.4)."""


class SMSIntegrationNotFound(Exception):
    """No SMS connection is configured."""


class SMSMissingAssistantAccess(Exception):
    """The project may not use the SMS connection."""


class MissingTemplate(Exception):
    """There is no SMS template of that name."""


class MissingHandoff(Exception):
    """There is no handoff of that name."""


class CallLimitError(Exception):
    """The functions of one turn asked the server too often."""


class PromptLLMCallLimitError(CallLimitError):
    """Too many model calls in one turn."""


class ChatCompletionError(Exception):
    """A model call failed."""


class SecretNotFound(Exception):
    """There is no secret of that name."""


class MissingAccess(Exception):
    """The project may not read the secret."""


class InvalidInput(Exception):
    """An argument has a wrong form."""


class ExtractionError(Exception):
    """Nothing could be extracted."""


class ApiError(Exception):
    """A configured API could not be called, or did not answer."""


class ServiceError(Exception):
    """The server could not do what a function asked for."""


class NotConfigured(Exception):
    """The ability belongs to a hosted service that is not connected here."""


class CxOneError(Exception):
    """Something that only the CXone voice platform can do."""


class CxOneHandoffError(CxOneError):
    """A CXone handoff failed."""


class CxOneSignalError(CxOneError):
    """A CXone signal failed."""


def error_called(name: str) -> type[Exception]:
    """Give the exception with this name; `ServiceError` when there is none."""
    found = NotImplementedError if name == "NotImplementedError" else globals().get(name)
    return found if isinstance(found, type) and issubclass(found, Exception) else ServiceError
