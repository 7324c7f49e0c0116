"""Settings: environment over file over defaults; wrong ones are named."""

from pathlib import Path

import pytest

from warmline.config import load_llm, load_settings
from warmline.domain.errors import ConfigError

KEY = "0123456789abcdef0123456789abcdef"
GOOD = {"WARMLINE_PUBLIC_URL": "https://warmline.lumen-energy.com/", "WARMLINE_SECRET_KEY": KEY}


def test_the_environment_goes_before_the_file_and_the_file_before_defaults(tmp_path: Path) -> None:
    (tmp_path / "warmline.toml").write_text('port = 9000\nhost = "0.0.0.0"\ntrusted_proxies = 1\n')
    settings = load_settings({**GOOD, "WARMLINE_PORT": "9001"}, directory=tmp_path)
    assert (settings.port, settings.host, settings.trusted_proxies) == (9001, "0.0.0.0", 1)
    assert settings.public_url == "https://warmline.lumen-energy.com"
    assert settings.database_url == "sqlite:///.warmline/warmline.db"
    assert not settings.relaxed


def test_a_secret_may_come_from_a_file_and_several_keys_are_kept_in_order(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY},{KEY[::-1]}\n")
    settings = load_settings(
        {"WARMLINE_PUBLIC_URL": "https://a.org", "WARMLINE_SECRET_KEY_FILE": str(tmp_path / "key")}, directory=tmp_path
    )
    assert settings.secret_keys == (KEY, KEY[::-1])
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WARMLINE_PUBLIC_URL", ""),
        ("WARMLINE_PUBLIC_URL", "warmline.lumen-energy.com"),
        ("WARMLINE_SECRET_KEY", ""),
        ("WARMLINE_SECRET_KEY", "changeme"),
        ("WARMLINE_SECRET_KEY_FILE", "/nowhere/at/all"),
        ("WARMLINE_DATABASE_URL", "mysql://x"),
        ("WARMLINE_PORT", "http"),
        ("WARMLINE_PORT", "70000"),
        ("WARMLINE_TRUSTED_PROXIES", "-1"),
        ("WARMLINE_TRUSTED_PROXIES", "many"),
        ("WARMLINE_LOG_FORMAT", "xml"),
        ("WARMLINE_BRAIN", "magic"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({**GOOD, name: value}, directory=tmp_path)
    assert name.startswith(refused.value.key.removesuffix("_FILE"))
    assert not value or name != "WARMLINE_SECRET_KEY" or value not in str(refused.value)


LLM = {"WARMLINE_LLM_BASE_URL": "http://127.0.0.1:8092/v1", "WARMLINE_LLM_MODEL": "demo-model"}


def test_the_language_model_is_read_with_its_names_and_its_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-very-secret\n")
    more = {
        "WARMLINE_LLM_API_KEY_FILE": str(tmp_path / "key"),
        "WARMLINE_LLM_MODELS": "gpt-4o=large, gpt-4o-mini=small",
        "WARMLINE_LLM_TIMEOUT_S": "12",
        "WARMLINE_LLM_MODERATION_MODEL": "judge",
    }
    settings = load_settings({**GOOD, **LLM, **more, "WARMLINE_BRAIN": "llm"}, directory=tmp_path)
    llm = settings.llm
    assert llm is not None
    assert (llm.base_url, llm.model, llm.api_key) == (LLM["WARMLINE_LLM_BASE_URL"], "demo-model", "sk-very-secret")
    assert (llm.models, llm.limit_s, llm.moderation_model) == ({"gpt-4o": "large", "gpt-4o-mini": "small"}, 12, "judge")
    assert "very-secret" not in repr(settings)
    assert llm.idle_s == 15
    slow = load_llm({**LLM, "WARMLINE_LLM_TIMEOUT_S": "120"}, directory=tmp_path)
    assert slow is not None
    assert slow.idle_s == 60
    assert load_llm({**LLM, **more}, directory=tmp_path) == llm
    assert load_llm({}, directory=tmp_path) is None


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"WARMLINE_BRAIN": "llm"}, "WARMLINE_LLM_BASE_URL"),
        ({**LLM, "WARMLINE_LLM_MODEL": ""}, "WARMLINE_LLM_MODEL"),
        ({**LLM, "WARMLINE_LLM_BASE_URL": "localhost"}, "WARMLINE_LLM_BASE_URL"),
        ({**LLM, "WARMLINE_LLM_TIMEOUT_S": "0"}, "WARMLINE_LLM_TIMEOUT_S"),
        ({**LLM, "WARMLINE_LLM_MODELS": "gpt-4o"}, "WARMLINE_LLM_MODELS"),
    ],
)
def test_a_wrong_setting_of_the_language_model_is_named(tmp_path: Path, changes: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({**GOOD, **changes}, directory=tmp_path)
    assert refused.value.key == key


def test_what_functions_may_use_is_read_and_wrong_values_are_named(tmp_path: Path) -> None:
    (tmp_path / "warmline.toml").write_text("function_memory_mb = 300\nfunction_time_s = 4.5\n")
    functions = load_settings({**GOOD, "WARMLINE_FUNCTION_ASKS": "3"}, directory=tmp_path).functions
    assert (functions.memory_mb, functions.limit_s, functions.asks, functions.state_kb) == (300, 4.5, 3, 1024)
    for name in ("MEMORY_MB", "STATE_KB", "OUTPUT_KB", "ASKS", "TIME_S", "WORKERS", "MOST_WORKERS"):
        with pytest.raises(ConfigError, match=f"WARMLINE_FUNCTION_{name}"):
            load_settings({**GOOD, f"WARMLINE_FUNCTION_{name}": "0"}, directory=tmp_path)


def test_the_secrets_of_projects_come_from_the_environment_from_files_and_from_the_settings_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "warmline.toml").write_text('[secrets.lumen-energy]\ncrm_key = "from toml"\napi_crm = "old"\n')
    (tmp_path / "token").write_text("from a file\n")
    settings = load_settings(
        {
            **GOOD,
            "WARMLINE_SECRET__LUMEN_ENERGY__API_CRM": "from the environment",
            "WARMLINE_SECRET__LUMEN_ENERGY__TOKEN_FILE": str(tmp_path / "token"),
        },
        directory=tmp_path,
    )
    assert settings.project_secrets == {
        ("LUMEN_ENERGY", "CRM_KEY"): "from toml",
        ("LUMEN_ENERGY", "API_CRM"): "from the environment",
        ("LUMEN_ENERGY", "TOKEN"): "from a file",
    }
    assert "from" not in repr(settings)
    with pytest.raises(ConfigError, match="WARMLINE_SECRET__LUMEN"):
        load_settings({**GOOD, "WARMLINE_SECRET__LUMEN": "x"}, directory=tmp_path)


def test_nats_is_read_with_its_secret(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("nats-secret\n")
    (tmp_path / "ca.pem").write_text("-")
    settings = load_settings(
        {
            **GOOD,
            "WARMLINE_NATS_URL": "tls://a.example:4222, tls://b.example:4222",
            "WARMLINE_NATS_USER": "warmline",
            "WARMLINE_NATS_PASSWORD_FILE": str(tmp_path / "password"),
            "WARMLINE_NATS_CA_FILE": str(tmp_path / "ca.pem"),
        },
        directory=tmp_path,
    )
    assert settings.nats is not None
    assert settings.nats.servers == ("tls://a.example:4222", "tls://b.example:4222")
    assert (settings.nats.user, settings.nats.password) == ("warmline", "nats-secret")
    assert settings.nats.ca == tmp_path / "ca.pem"
    assert "nats-secret" not in repr(settings)
    assert load_settings(GOOD, directory=tmp_path).nats is None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"URL": "http://a.example"}, "WARMLINE_NATS_URL"),
        ({"URL": "nats://"}, "WARMLINE_NATS_URL"),
        ({"URL": "nats://a.example:port"}, "WARMLINE_NATS_URL"),
        ({"URL": "nats://me:hidden@a.example"}, "WARMLINE_NATS_URL"),
        ({"URL": "nats://a.example,tls://b.example"}, "WARMLINE_NATS_URL"),
        ({"USER": "me"}, "WARMLINE_NATS_USER"),
        ({"PASSWORD": "hidden"}, "WARMLINE_NATS_USER"),
        ({"TOKEN": "hidden", "NKEY_SEED": "hidden"}, "WARMLINE_NATS_USER"),
        ({"CREDS_FILE": "/nowhere/at/all"}, "WARMLINE_NATS_CREDS_FILE"),
        ({"CA_FILE": "/nowhere/at/all"}, "WARMLINE_NATS_CA_FILE"),
        ({"KEY_FILE": __file__}, "WARMLINE_NATS_CERT_FILE"),
    ],
)
def test_wrong_settings_of_nats_are_named(tmp_path: Path, wrong: dict[str, str], named: str) -> None:
    given = {f"WARMLINE_NATS_{name}": value for name, value in ({"URL": "nats://a.example"} | wrong).items()}
    with pytest.raises(ConfigError) as refused:
        load_settings({**GOOD, **given}, directory=tmp_path)
    assert refused.value.key == named
    assert "hidden" not in str(refused.value)
