"""Paths that clients get nearly right."""


def tolerant(path: str) -> str:
    """An aiohttp route that also matches `path` with doubled or trailing slashes (messaging-protocol.md §2.0).

    `path` begins with a slash and may hold `{name}` parts.
    """
    parts = path.strip("/").split("/")
    return "".join(f"/{{_{index}:/*}}{part}" for index, part in enumerate(parts)) + "{_end:/*}"
