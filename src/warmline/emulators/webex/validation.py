"""What the task API accepts: the rules of §7.1, §8 and §10 for bodies and URLs. Each check returns its problems."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from warmline.emulators.webex.settings import SimSettings

_RESERVED_DOMAINS = {"local", "localhost", "test", "example", "invalid", "internal", "lan", "home", "corp", "onion"}


def url_problems(name: str, url: Any, relaxed: bool, with_query: bool = False) -> list[str]:
    """Check a URL that Webex is to call (§10, §13.1).

    Args:
        name: the field, for the texts.
        relaxed: permit http, ports, local hosts.
        with_query: whether a query is permitted.
    """
    if not isinstance(url, str):
        return [f"{name}: must be a string"]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return [f"{name}: is not a valid URL"]
    if parts.scheme not in (("http", "https") if relaxed else ("https",)):
        return [f"{name}: the scheme must be https"]
    problems = []
    if not host:
        problems.append(f"{name}: a host is required")
    elif not relaxed and not _is_public_name(host):
        problems.append(f"{name}: the host must be a domain name on a public top-level domain")
    if not relaxed and port not in (None, 443):
        problems.append(f"{name}: the port must be 443")
    if not parts.path.startswith("/"):
        problems.append(f"{name}: a path is required")
    if parts.query and not with_query:
        problems.append(f"{name}: a query is not allowed")
    if "@" in parts.netloc:
        problems.append(f"{name}: user information is not allowed")
    if parts.fragment:
        problems.append(f"{name}: a fragment is not allowed")
    return problems


def _is_public_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.rstrip(".").split(".")
        top = labels[-1]
        return len(labels) > 1 and all(labels) and len(top) > 1 and top.isalpha() and top not in _RESERVED_DOMAINS
    return False


def create_problems(body: dict[str, Any], settings: SimSettings) -> list[str]:
    """Check the body of `POST /v2/tasks`."""
    problems = []
    origin, destination = body.get("origin"), body.get("destination")
    if not isinstance(origin, dict) or not _filled(origin.get("id")):
        problems.append("origin.id: must be a non-empty string")
    elif not isinstance(origin.get("name", ""), str):
        problems.append("origin.name: must be a string")
    if not isinstance(destination, dict) or not _filled(destination.get("id")):
        problems.append("destination.id: must be a non-empty string")
    elif destination.get("type") != "businessAddress":
        problems.append("destination.type: must be businessAddress")
    if body.get("channelType") != "customMessaging":
        problems.append("channelType: must be customMessaging")
    if not _filled(body.get("channel")):
        problems.append("channel: must be a non-empty string")
    problems += _map_problems(body, "globalVariables", 30, 1024)
    problems += _map_problems(body, "flowSettings", 15, 512)
    variables = body.get("globalVariables")
    if settings.unknown_variables == "reject" and isinstance(variables, dict):
        problems += [
            f"globalVariables: {name} is not a global variable of the organization"
            for name in variables
            if name not in settings.global_variables
        ]
    return problems + params_problems(body.get("channelParams"), settings)


def append_problems(body: dict[str, Any], settings: SimSettings) -> list[str]:
    """Check the body of `POST /v2/tasks/{id}/messages`."""
    problems = []
    if body.get("mediaType") != "customMessaging":
        problems.append("mediaType: must be customMessaging")
    return problems + params_problems(body.get("channelParams"), settings)


def params_problems(params: Any, settings: SimSettings) -> list[str]:
    """Check `channelParams` of either call."""
    if not isinstance(params, dict):
        return ["channelParams: must be an object"]
    kind, message = params.get("type"), params.get("message")
    problems = []
    if kind not in ("text", "text-with-attachments"):
        problems.append("channelParams.type: must be text or text-with-attachments")
    if not isinstance(message, dict):
        return [*problems, "channelParams.message: must be an object"]
    if not _filled(message.get("aliasId")):
        problems.append("channelParams.message.aliasId: must be a non-empty string")
    stamp = message.get("timestamp")
    if not isinstance(stamp, int) or isinstance(stamp, bool) or not 10**11 <= stamp < 10**14:
        problems.append("channelParams.message.timestamp: must be an integer of epoch milliseconds")
    text = message.get("text")
    attachments = message.get("attachments")
    if kind == "text" and attachments is not None:
        problems.append("channelParams.message.attachments: not allowed with type text")
    if kind == "text-with-attachments":
        problems += _attachment_problems(attachments, settings)
    if not isinstance(text, str) or (not text and not (kind == "text-with-attachments" and attachments)):
        problems.append("channelParams.message.text: must be a non-empty string")
    return problems


def _attachment_problems(attachments: Any, settings: SimSettings) -> list[str]:
    where = "channelParams.message.attachments"
    if not isinstance(attachments, list) or not attachments:
        return [f"{where}: required with type text-with-attachments"]
    problems = []
    for position, item in enumerate(attachments):
        name = f"{where}[{position}]"
        if not isinstance(item, dict):
            problems.append(f"{name}: must be an object")
            continue
        problems += [
            f"{name}.{field}: must be a non-empty string"
            for field in ("fileName", "mimeType", "fileUrl")
            if not _filled(item.get(field))
        ]
        if _filled(item.get("fileUrl")):
            problems += url_problems(f"{name}.fileUrl", item["fileUrl"], settings.relaxed, with_query=True)
    return problems


def _filled(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _map_problems(body: dict[str, Any], name: str, most: int, value_bytes: int) -> list[str]:
    values = body.get(name)
    if values is None:
        return []
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        return [f"{name}: must be a map of strings"]
    problems = []
    if len(values) > most:
        problems.append(f"{name}: at most {most} entries")
    for key, value in values.items():
        if len(key.encode()) > 200:
            problems.append(f"{name}: a key is longer than 200 bytes")
        if len(value.encode()) > value_bytes:
            problems.append(f"{name}: a value is longer than {value_bytes} bytes")
    return problems
