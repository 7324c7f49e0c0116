"""Manifests and the rules of the Connect dialog's fields (webex-byoc.md §4)."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from warmline.domain.errors import ConfigError
from warmline.handoff.manifest import CheckedFields, check_fields, read_manifest, webhook_url_problem

WEBEX = read_manifest(files("warmline.handoff.providers") / "webex" / "manifest.toml")

GOOD = {
    "region": "us1",
    "org_id": "CB5901FB-AB66-4377-A7BC-5F0B21896952",
    "client_id": "C" + "0a" * 32,
    "client_secret": "9b" * 32,
    "refresh_token": "MDEyMzQ1Njc4OWFiY2RlZg",
    "channel_name": "my-custom-channel",
    "business_address": "support@channel.biz",
    "asset_webhook_url": "https://wl.example.com/hooks/webex/c_7k2/asset",
    "asset_webhook_secret": "4f" * 32,
    "events_webhook_url": "https://wl.example.com/hooks/webex/c_7k2/events",
    "subscription_secret": "5f" * 32,
}


def checked(relaxed: bool = False, **changes: str) -> CheckedFields:
    given = {**GOOD, **{key.replace("__", "."): value for key, value in changes.items()}}
    return check_fields(WEBEX, given, relaxed=relaxed)


def test_A1_the_examples_pass_in_their_normal_form() -> None:
    found = checked()
    assert found.errors == {}
    assert found.warnings == {}
    assert found.values["org_id"] == GOOD["org_id"].lower()
    assert found.values["policy.max_chars"] == "4096"
    assert found.values["queue_timeout_s"] == "900"


def test_A4_secrets_are_kept_apart_from_values_and_out_of_sight() -> None:
    found = checked()
    assert set(found.secrets) == {"client_secret", "refresh_token", "asset_webhook_secret", "subscription_secret"}
    assert not set(found.secrets) & set(found.values)
    assert GOOD["client_secret"] not in repr(found)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("region", "us9", "must be one of us1"),
        ("region", "", "is required"),
        ("org_id", "not-a-uuid", "must be a UUID"),
        ("client_id", "short", "at least 10"),
        ("client_id", "C" * 129, "at most 128"),
        ("client_id", "has white space", "white space"),
        ("client_secret", "x" * 15, "at least 16"),
        ("client_secret", "x" * 257, "at most 256"),
        ("client_secret", "has white space in it", "white space"),
        ("refresh_token", "x" * 19, "at least 20"),
        ("refresh_token", "x" * 513, "at most 512"),
        ("access_token", "x" * 19, "at least 20"),
        ("channel_name", "", "is required"),
        ("channel_name", "x" * 256, "at most 255"),
        ("business_address", "a\x07b", "control characters"),
        ("asset_webhook_secret", "x" * 31, "at least 32"),
        ("asset_webhook_secret", "x" * 257, "at most 256"),
        ("asset_webhook_url", "http://wl.example.com/hooks", "https on port 443"),
        ("events_webhook_url", "https://wl.example.com:8443/hooks", "https on port 443"),
        ("policy__max_chars", "0", "between 1 and 32768"),
        ("policy__max_chars", "32769", "between 1 and 32768"),
        ("policy__max_chars", "many", "whole number"),
        ("queue_timeout_s", "29", "must be 0 or between 30 and 86400"),
        ("queue_timeout_s", "86401", "between 30 and 86400"),
        ("origin_scope", "tab", "must be one of"),
        ("return_after_live", "yes", "true or false"),
        ("oauth_token_url", "http://webexapis.com/v1/access_token", "absolute https URL"),
        ("oauth_token_url", "https://webexapis.com/v1?x=1", "query"),
        ("global_variables", "reason=billing", "JSON object"),
        ("global_variables", '{"a": 1}', "values are strings"),
        ("global_variables", '{"a": "' + "é" * 513 + '"}', "longer than 1024 bytes"),
        ("global_variables", '{"' + "k" * 201 + '": "v"}', "longer than 200 bytes"),
        ("flow_settings", '{"a": "' + "x" * 513 + '"}', "longer than 512 bytes"),
        ("no_such_field", "x", "no such field"),
    ],
)
def test_A1_every_rule_names_its_field(field: str, value: str, told: str) -> None:
    errors = checked(**{field: value}).errors
    assert list(errors) == [field.replace("__", ".")]
    assert told in errors[field.replace("__", ".")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("policy__max_chars", "1"),
        ("policy__max_chars", "32768"),
        ("queue_timeout_s", "0"),
        ("queue_timeout_s", "30"),
        ("queue_timeout_s", "86400"),
        ("channel_name", "  Trimmed "),
        ("business_address", "anything at all"),
        ("global_variables", '{"reason": "{{handoff.reason}}"}'),
    ],
)
def test_A1_bounds_themselves_are_allowed(field: str, value: str) -> None:
    found = checked(**{field: value})
    assert found.errors == {}
    assert found.values[field.replace("__", ".")] == value.strip()


def test_A1_thirty_variables_and_not_one_more() -> None:
    assert checked(global_variables=json.dumps({f"v{n}": "" for n in range(30)})).errors == {}
    assert (
        "at most 30"
        in checked(global_variables=json.dumps({f"v{n}": "" for n in range(31)})).errors["global_variables"]
    )


def test_A1_the_base_url_belongs_to_data_center_custom() -> None:
    assert "api_base_url" in checked(region="custom").errors
    assert checked(region="custom", api_base_url="https://api.wxcc-us1.cisco.com").errors == {}
    assert "without a path" in checked(region="custom", api_base_url="https://x.cisco.com/v2").errors["api_base_url"]
    assert "https" in checked(region="custom", api_base_url="http://127.0.0.1:8090").errors["api_base_url"]
    assert checked(relaxed=True, region="custom", api_base_url="http://127.0.0.1:8090/").values["api_base_url"] == (
        "http://127.0.0.1:8090"
    )


def test_A1_unusual_ids_are_warned_about_but_taken() -> None:
    found = checked(client_id="an-unusual-client-id", client_secret="an-unusual-secret")
    assert found.errors == {}
    assert set(found.warnings) == {"client_id", "client_secret"}


@pytest.mark.parametrize(
    "url",
    [
        "http://wl.example.com/x", "https://wl.example.com:8443/x", "https://10.0.0.1/x", "https://localhost/x",
        "https://server/x", "https://server.local/x", "https://wl.example.com", "https://wl.example.com/x?y=1",
        "https://u:p@wl.example.com/x", "https://wl.example.com/x#y", "https://[::1]/x", "https://x.example.com:no/x",
    ],
)  # fmt: skip
def test_A1_webhook_urls_that_webex_could_not_call(url: str) -> None:
    assert "WARMLINE_PUBLIC_URL" in webhook_url_problem(url)


def test_A1_a_public_webhook_url() -> None:
    assert webhook_url_problem("https://wl.example.com/hooks/webex/c/asset") == ""
    assert webhook_url_problem("https://wl.example.com:443/hooks") == ""


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("key = 1", "Expected `str`"),
        ("not toml", "Expected '='"),
        ('key="x"\ntitle="x"\ncategory="x"\nsummary="x"\ncolour="red"', "colour"),
        ('key="x"\ntitle="x"\ncategory="x"\nsummary="x"\n' + '[[fields]]\nkey="a"\nlabel="A"\nkind="text"\n' * 2, "a"),
    ],
)
def test_a_broken_manifest_names_the_file_and_what_is_wrong(tmp_path: Path, toml: str, told: str) -> None:
    file = tmp_path / "manifest.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError, match=r"manifest\.toml") as caught:
        read_manifest(file)
    assert told in str(caught.value)
