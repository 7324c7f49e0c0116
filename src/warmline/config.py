"""Settings: environment variables over `warmline.toml` over defaults. Wrong ones are named, never guessed."""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from warmline.agent.models.endpoint import Endpoint
from warmline.agent.services.secrets import secret_key
from warmline.agent.turn.limits import PoolSettings
from warmline.bus import NatsSettings
from warmline.domain.errors import ConfigError

_T = TypeVar("_T")

PLACEHOLDERS = frozenset({"", "changeme", "change-me", "secret", "placeholder", "todo", "xxx"})
"""Values that nobody may run with (style-anchors.md §4.11)."""

_SECRET_MIN_CHARS = 32
_PROJECT_SECRET = "WARMLINE_SECRET__"  # noqa: S105 (a prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a server needs to know before it starts.

    `secret_key` protects secrets at rest and signs tokens; several keys, newest first, separated by commas,
    while one is being rotated. `trusted_proxies` is how many reverse proxies stand in front and append to
    X-Forwarded-For, by whose addresses rate limits count. `relaxed` permits plain http and private addresses
    towards providers: for emulators only, set by `warmline demo` and tests, never from the environment. `llm` is the
    language model, None without one. `retrieval` is how topics are found: "lexical", or "semantic" with that extra.
    `nats` carries hints between nodes, None: what the database offers does. `node` names this process among those on
    the same database, "": after its machine and port. `metrics_port` answers for this process alone, 0: nowhere;
    `share_port` lets other processes listen on `port`, too.
    """

    database_url: str = "sqlite:///.warmline/warmline.db"
    public_url: str = "http://127.0.0.1:8080"
    secret_key: str = field(default="", repr=False)
    projects: Path = Path("projects")
    host: str = "127.0.0.1"
    port: int = 8080
    brain: str = "topics"
    retrieval: str = "lexical"
    log_format: str = "console"
    trusted_proxies: int = 0
    watch_projects: bool = False
    relaxed: bool = False
    llm: Endpoint | None = None
    nats: NatsSettings | None = None
    node: str = ""
    metrics_port: int = 0
    share_port: bool = False
    functions: PoolSettings = field(default_factory=PoolSettings)
    project_secrets: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys, newest first."""
        return tuple(key for key in (part.strip() for part in self.secret_key.split(",")) if key)


_DEFAULTS = Settings()


def load_settings(environ: Mapping[str, str] | None = None, *, directory: Path | None = None) -> Settings:
    """Read the settings of a server.

    Args:
        environ: environment variables (`WARMLINE_…`); the process's own when None. Every secret may come
            from a file instead, named by the same variable with `_FILE` at the end.
        directory: where `warmline.toml` may lie; the working directory when None.

    Raises:
        ConfigError: a value is malformed, a secret is missing or a placeholder; names the key, never the value.
    """
    env = os.environ if environ is None else environ
    file = _read_toml((directory or Path.cwd()) / "warmline.toml")
    reader = _Reader(env, file)
    settings = Settings(
        database_url=reader.value("DATABASE_URL", "database_url", _DEFAULTS.database_url, _database_url),
        public_url=reader.value("PUBLIC_URL", "public_url", "", _public_url),
        secret_key=reader.secret("SECRET_KEY", "secret_key"),
        projects=reader.value("PROJECTS", "projects", _DEFAULTS.projects, Path),
        host=reader.value("HOST", "host", _DEFAULTS.host, str),
        port=reader.value("PORT", "port", _DEFAULTS.port, _port),
        brain=reader.value("BRAIN", "brain", _DEFAULTS.brain, _one_of("topics", "llm")),
        trusted_proxies=reader.value("TRUSTED_PROXIES", "trusted_proxies", _DEFAULTS.trusted_proxies, _trusted_proxies),
        log_format=reader.value("LOG_FORMAT", "log_format", _DEFAULTS.log_format, _one_of("console", "json")),
        retrieval=_read_retrieval(reader),
        llm=_read_llm(reader),
        nats=_read_nats(reader),
        node=reader.value("NODE", "node", "", _node),
        metrics_port=reader.value("METRICS_PORT", "metrics_port", 0, _port),
        share_port=reader.value("SHARE_PORT", "share_port", "no", _one_of("yes", "no")) == "yes",
        functions=_read_functions(reader),
        project_secrets=_read_secrets(env, file, reader),
    )
    if not settings.public_url:
        raise ConfigError("WARMLINE_PUBLIC_URL", "set the https address under which customers and providers reach us")
    if settings.brain == "llm" and settings.llm is None:
        raise ConfigError("WARMLINE_LLM_BASE_URL", "missing; the brain llm needs a language model")
    _check_secret_key(settings)
    return settings


def load_llm(environ: Mapping[str, str] | None = None, *, directory: Path | None = None) -> Endpoint | None:
    """Read the settings of the language model alone, for commands that need no server; None without one.

    Raises:
        ConfigError: a value is malformed or missing; names the key, never the value.
    """
    file = _read_toml((directory or Path.cwd()) / "warmline.toml")
    return _read_llm(_Reader(os.environ if environ is None else environ, file))


def load_retrieval(environ: Mapping[str, str] | None = None, *, directory: Path | None = None) -> str:
    """Read alone how topics are found, "lexical" or "semantic".

    Raises:
        ConfigError: it is neither.
    """
    file = _read_toml((directory or Path.cwd()) / "warmline.toml")
    return _read_retrieval(_Reader(os.environ if environ is None else environ, file))


def _read_retrieval(reader: "_Reader") -> str:
    return reader.value("RETRIEVAL", "retrieval", _DEFAULTS.retrieval, _one_of("lexical", "semantic"))


def _read_llm(reader: "_Reader") -> Endpoint | None:
    base_url = reader.value("LLM_BASE_URL", "llm_base_url", "", _public_url)
    if not base_url:
        return None
    model = reader.value("LLM_MODEL", "llm_model", "", str)
    if not model:
        raise ConfigError("WARMLINE_LLM_MODEL", "missing; name the model that the endpoint shall use")
    usual = Endpoint(base_url=base_url, model=model)
    limit_s = reader.value("LLM_TIMEOUT_S", "llm_timeout_s", usual.limit_s, _seconds)
    return Endpoint(
        base_url=base_url,
        model=model,
        api_key=reader.secret("LLM_API_KEY", "llm_api_key"),
        models=reader.value("LLM_MODELS", "llm_models", {}, _model_names),
        limit_s=limit_s,
        # A model that thinks before it speaks is not to be taken for one that hangs.
        idle_s=max(usual.idle_s, limit_s / 2),
        moderation_model=reader.value("LLM_MODERATION_MODEL", "llm_moderation_model", "", str),
    )


def _read_nats(reader: "_Reader") -> NatsSettings | None:
    nowhere: tuple[str, ...] = ()
    servers = reader.value("NATS_URL", "nats_url", nowhere, _nats_urls)
    if not servers:
        return None

    def path(name: str) -> Path | None:
        return reader.value(f"NATS_{name}_FILE", f"nats_{name.lower()}_file", None, _existing_file)

    settings = NatsSettings(
        servers=servers,
        user=reader.value("NATS_USER", "nats_user", "", str),
        password=reader.secret("NATS_PASSWORD", "nats_password"),
        token=reader.secret("NATS_TOKEN", "nats_token"),
        nkey_seed=reader.secret("NATS_NKEY_SEED", "nats_nkey_seed"),
        creds=reader.secret("NATS_CREDS", "nats_creds"),
        ca=path("CA"),
        cert=path("CERT"),
        key=path("KEY"),
    )
    if bool(settings.user) != bool(settings.password):
        raise ConfigError("WARMLINE_NATS_USER", "set this and WARMLINE_NATS_PASSWORD, or neither")
    if sum(map(bool, (settings.user, settings.token, settings.nkey_seed, settings.creds))) > 1:
        raise ConfigError("WARMLINE_NATS_USER", "set one of user, token, nkey seed and credentials, not several")
    if settings.key is not None and settings.cert is None:
        raise ConfigError("WARMLINE_NATS_CERT_FILE", "missing; WARMLINE_NATS_KEY_FILE is its key")
    return settings


def load_functions(
    environ: Mapping[str, str] | None = None, *, directory: Path | None = None
) -> tuple[PoolSettings, Mapping[tuple[str, str], str]]:
    """Read what functions of projects may use and know alone, for commands that need no server.

    Raises:
        ConfigError: a value is malformed; names the key, never the value.
    """
    env = os.environ if environ is None else environ
    file = _read_toml((directory or Path.cwd()) / "warmline.toml")
    reader = _Reader(env, file)
    return _read_functions(reader), _read_secrets(env, file, reader)


def _read_functions(reader: "_Reader") -> PoolSettings:
    usual = PoolSettings()

    def count(name: str, default: int) -> int:
        return reader.value(f"FUNCTION_{name}", f"function_{name.lower()}", default, _count)

    return PoolSettings(
        size=count("WORKERS", usual.size),
        most=count("MOST_WORKERS", usual.most),
        limit_s=reader.value("FUNCTION_TIME_S", "function_time_s", usual.limit_s, _seconds),
        memory_mb=count("MEMORY_MB", usual.memory_mb),
        state_kb=count("STATE_KB", usual.state_kb),
        output_kb=count("OUTPUT_KB", usual.output_kb),
        asks=count("ASKS", usual.asks),
    )


def _read_secrets(env: Mapping[str, str], file: Mapping[str, Any], reader: "_Reader") -> dict[tuple[str, str], str]:
    """Read `WARMLINE_SECRET__<PROJECT>__<NAME>` (or …_FILE) and the tables `[secrets.<project>]`."""
    found: dict[tuple[str, str], str] = {}
    tables = file.get("secrets", {})
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise ConfigError("warmline.toml: secrets", "must hold a table for each project")
    for project, table in tables.items():
        found |= {(secret_key(project), secret_key(name)): str(value) for name, value in table.items()}
    for variable in env:
        if variable.startswith(_PROJECT_SECRET):
            key = variable.removesuffix("_FILE")
            project, _, name = key.removeprefix(_PROJECT_SECRET).partition("__")
            if not name:
                raise ConfigError(key, f"must have the form {_PROJECT_SECRET}<PROJECT>__<NAME>")
            found[secret_key(project), secret_key(name)] = reader.secret(key.removeprefix("WARMLINE_"), "")
    return found


class _Reader:
    def __init__(self, env: Mapping[str, str], file: Mapping[str, Any]) -> None:
        self._env = env
        self._file = file

    def value(self, variable: str, key: str, default: _T, convert: Callable[[str], _T]) -> _T:
        name = f"WARMLINE_{variable}"
        raw = self._env.get(name)
        where = name
        if raw is None and key in self._file:
            raw, where = str(self._file[key]), f"warmline.toml: {key}"
        if raw is None:
            return default
        try:
            return convert(raw.strip())
        except ValueError as error:
            raise ConfigError(where, str(error)) from None

    def secret(self, variable: str, key: str) -> str:
        name = f"WARMLINE_{variable}"
        inline, path = self._env.get(name), self._env.get(f"{name}_FILE")
        if inline is not None and path is not None:
            raise ConfigError(name, f"set either this or {name}_FILE, not both")
        if path is not None:
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{name}_FILE", error.strerror or "cannot be read") from None
        if inline is not None:
            return inline.strip()
        return str(self._file.get(key, "")).strip()


def _read_toml(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("warmline.toml", str(error)) from None


def _database_url(raw: str) -> str:
    if not raw.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return raw


def _public_url(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be an absolute http(s) address without query")
    return raw.rstrip("/")


def _nats_urls(raw: str) -> tuple[str, ...]:
    urls = tuple(part.strip() for part in raw.split(",") if part.strip())
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("nats", "tls") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("must be nats://host:port or tls://host:port, or several of them separated by commas")
        if parts.scheme != urlsplit(urls[0]).scheme:
            raise ValueError("must be all nats:// or all tls://")
        _port(str(parts.port or 4222))
        if parts.username is not None:
            raise ValueError("must not hold a user; set WARMLINE_NATS_USER and WARMLINE_NATS_PASSWORD, or another way")
    return urls


def _existing_file(raw: str) -> Path:
    if not Path(raw).is_file():
        raise ValueError("there is no such file")
    return Path(raw)


def _port(raw: str) -> int:
    try:
        port = int(raw)
    except ValueError:
        raise ValueError("must be a number") from None
    if not 0 <= port <= 65535:
        raise ValueError("must be between 0 and 65535")
    return port


def _node(raw: str) -> str:
    if len(raw) > 200 or not raw.isprintable():
        raise ValueError("must be a name of at most 200 characters")
    return raw


def _seconds(raw: str) -> float:
    try:
        seconds = float(raw)
    except ValueError:
        raise ValueError("must be a number of seconds") from None
    if not 1 <= seconds <= 300:
        raise ValueError("must be between 1 and 300 seconds")
    return seconds


def _model_names(raw: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in raw.split(",") if part.strip()]
    if any(not name.strip() or not meant.strip() for name, _, meant in pairs):
        raise ValueError("must look like name=model,other=model")
    return {name.strip(): meant.strip() for name, _, meant in pairs}


def _count(raw: str) -> int:
    if not raw.isascii() or not raw.isdigit() or not 0 < int(raw) <= 1_000_000:
        raise ValueError("must be a number between 1 and 1000000")
    return int(raw)


def _trusted_proxies(raw: str) -> int:
    if not raw.isascii() or not raw.isdigit() or int(raw) > 10:
        raise ValueError("must be a number between 0 and 10")
    return int(raw)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def convert(raw: str) -> str:
        if raw not in allowed:
            raise ValueError(f"must be one of: {', '.join(allowed)}")
        return raw

    return convert


def _check_secret_key(settings: Settings) -> None:
    if not settings.secret_keys:
        raise ConfigError("WARMLINE_SECRET_KEY", "missing; make one with: openssl rand -hex 32")
    for key in settings.secret_keys:
        if key.lower() in PLACEHOLDERS or len(key) < _SECRET_MIN_CHARS:
            raise ConfigError("WARMLINE_SECRET_KEY", f"a placeholder or shorter than {_SECRET_MIN_CHARS} characters")
