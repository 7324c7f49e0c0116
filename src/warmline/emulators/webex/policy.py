"""What a message may contain: policy, attachments, card numbers, malware (§13.1, §14, §20.4)."""

import fnmatch
import mimetypes
import posixpath
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp

from warmline.emulators.webex.settings import Policy

_CARD = re.compile(r"(?<![\d])\d(?:[ -]?\d){12,18}(?!\d)")
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_FETCH_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)


class PolicyViolation(Exception):
    """A message that the policy or the attachment rules reject as a whole; the text is the `errorMessage`."""


def is_card_number(digits: str) -> bool:
    """Whether 13 to 19 digits pass the Luhn check."""
    if not 13 <= len(digits) <= 19:
        return False
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def masked(text: str) -> str:
    """Return `text` with the digits of payment card numbers replaced by `X`, separators kept."""

    def mask(match: re.Match[str]) -> str:
        digits = re.sub(r"\D", "", match[0])
        return re.sub(r"\d", "X", match[0]) if is_card_number(digits) else match[0]

    return _CARD.sub(mask, text)


def is_dropped(mime_type: str, content: bytes) -> bool:
    """Whether a file is removed from its message: malware, or a card number in a text file."""
    if EICAR in content:
        return True
    if not mime_type.startswith("text/"):
        return False
    text = content.decode("utf-8", "replace")
    return masked(text) != text


def declared_type(url: str, file_name: str) -> str:
    """Return the MIME type by the extension in the URL's path, else by that of the file name; '' when unknown."""
    path = unquote(urlsplit(url).path)
    name = path if posixpath.splitext(path)[1] else file_name
    return mimetypes.guess_type(name)[0] or ""


def check_text(policy: Policy, text: str) -> None:
    """Check a message's length.

    Raises:
        PolicyViolation: it is too long.
    """
    if len(text) > policy.max_chars:
        raise PolicyViolation(f"The maximum number of characters allowed is {policy.max_chars}.")


def check_files(policy: Policy, types: list[str], sizes: list[int]) -> None:
    """Check count, types and sizes (bytes) of a message's files.

    Raises:
        PolicyViolation: a limit is passed or a type not allowed.
    """
    if types and not policy.attachments_allowed:
        raise PolicyViolation("Attachments are not allowed.")
    if len(types) > policy.max_attachments:
        raise PolicyViolation(f"The maximum number of attachments allowed is {policy.max_attachments}.")
    for mime_type in types:
        if not any(fnmatch.fnmatchcase(mime_type, allowed) for allowed in policy.allowed_types):
            raise PolicyViolation(f"The file type {mime_type or 'unknown'} is not allowed.")
    if any(size > policy.max_single_bytes for size in sizes):
        raise PolicyViolation(f"The maximum size of an attachment is {policy.max_single_bytes} bytes.")
    if sum(sizes) > policy.max_total_bytes:
        raise PolicyViolation(f"The maximum total size of attachments is {policy.max_total_bytes} bytes.")


async def fetch_files(
    session: aiohttp.ClientSession,
    policy: Policy,
    attachments: list[dict[str, Any]],
    mapped: Callable[[str], str],
) -> list[tuple[dict[str, Any], str, bytes]]:
    """Check and fetch the attachments of a customer's message.

    Returns:
        (attachment as sent, MIME type, content) for each, dropped ones not yet removed.

    Raises:
        PolicyViolation: one of them breaks a rule; the message is rejected whole.
    """
    types = [declared_type(item["fileUrl"], item["fileName"]) for item in attachments]
    check_files(policy, types, [])
    sizes = [await _announced_size(session, mapped(item["fileUrl"])) for item in attachments]
    check_files(policy, types, sizes)
    contents = []
    for item, limit in zip(attachments, sizes, strict=True):
        contents.append(await _download(session, mapped(item["fileUrl"]), limit))
    return list(zip(attachments, types, contents, strict=True))


async def _announced_size(session: aiohttp.ClientSession, url: str) -> int:
    """Ask for the size by HEAD, or by a GET that is not read; redirects are not followed."""
    for method in ("HEAD", "GET"):
        try:
            async with session.request(
                method, url, allow_redirects=False, timeout=_FETCH_TIMEOUT, headers={"Accept-Encoding": "identity"}
            ) as response:  # fmt: skip
                length = response.headers.get("Content-Length", "")
                if response.status == 200 and length.isdigit():
                    return int(length)
                if response.status in (301, 302, 303, 307, 308):
                    raise PolicyViolation("The attachment could not be retrieved: redirects are not followed.")
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise PolicyViolation("The attachment could not be retrieved.") from problem
    raise PolicyViolation("The size of the attachment could not be determined.")


async def _download(session: aiohttp.ClientSession, url: str, size: int) -> bytes:
    try:
        async with session.get(
            url, allow_redirects=False, timeout=_FETCH_TIMEOUT, headers={"Accept-Encoding": "identity"}
        ) as response:
            content = await response.read() if response.status == 200 else b""
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        raise PolicyViolation("The attachment could not be retrieved.") from problem
    if len(content) != size:
        raise PolicyViolation("The attachment could not be retrieved.")
    return content
