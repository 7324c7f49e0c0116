"""Where NATS is, and as whom to speak to it."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsSettings:
    """A NATS server or cluster.

    `servers` are addresses `nats://host:port`, or `tls://host:port`, which refuses to go on without TLS. At most one
    way to sign in: `user` and `password`, `token`, `nkey_seed` (the text of a seed) or `creds` (the text of a
    credentials file). `ca`, `cert` and `key` are PEM files: whom to trust in place of the system's authorities, and
    what to show when the server asks.
    """

    servers: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    nkey_seed: str = field(default="", repr=False)
    creds: str = field(default="", repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def tls(self) -> bool:
        """Whether TLS is a must."""
        return self.ca is not None or any(server.startswith("tls://") for server in self.servers)
