"""Whether a webhook is the carrier's (messaging-protocol.md §17.2). Pure."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlsplit, urlunsplit

Form = Sequence[tuple[str, str]]
"""The fields of a form, as they came."""


def signature(token: str, url: str, form: Form) -> str:
    """The value of `X-Twilio-Signature` for a request to `url`."""
    fields: dict[str, set[str]] = {}
    for name, value in form:
        fields.setdefault(name, set()).add(value)
    text = url + "".join(name + value for name in sorted(fields) for value in sorted(fields[name]))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()


def is_genuine(tokens: Iterable[str], url: str, form: Form, given: str, *, body: bytes = b"") -> bool:
    """Whether `given` signs the request with any of `tokens`, in constant time.

    Args:
        tokens: auth tokens; more than one while it is being changed.
        url: as configured at the carrier, query included; it is tried with its port and without.
        form: the form's fields; none for a JSON body, whose digest stands in the query as `bodySHA256`.
        given: the header.
        body: of a JSON request.
    """
    digest = parse_qs(urlsplit(url).query).get("bodySHA256")
    if digest and not form:
        form = ()
        if not hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), digest[0].lower().encode()):
            return False
    expected = [signature(token, variant, form) for token in tokens for variant in _with_and_without_port(url)]
    same = [hmac.compare_digest(one.encode(), given.encode()) for one in expected]
    return any(same)


def _with_and_without_port(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    bare = f"[{host}]" if ":" in host else host
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return tuple(urlunsplit(parts._replace(netloc=netloc)) for netloc in (bare, f"{bare}:{port}"))
