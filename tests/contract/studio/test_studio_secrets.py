"""Secrets of functions in the Studio: set, replaced and deleted without being shown, used by the next call."""

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from support.installation import LUMEN
from support.studio import Visit, add_user, copy_examples, studio_server
from warmline.agent.project.loader import load_project
from warmline.agent.project.secrets import named_secrets
from warmline.agent.services.secrets import ConfiguredSecrets, ProjectSecrets
from warmline.agent.turn.trying import Sample
from warmline.app import Server
from warmline.ports import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = "/studio/settings/secrets"
READS = """\
from _gen import *  # <AUTO GENERATED>


@func_description("Tells the length of a secret.")
def read_key(conv: Conversation):
    return str(len(conv.utils.get_secret("crm-key")))
"""
APIS = """\
api_integrations:
  - name: crm
    environments:
      live: {base_url: "https://crm.example/v1", auth_type: apiKey}
    operations:
      - {name: get, method: GET, resource: /x}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for two projects, the first with a function and an API that want secrets."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="lumen-energy", two="lumen-energy")
    (projects / "one/functions/read_key.py").write_text(READS, "utf-8")
    (projects / "one/config/api_integrations.yaml").write_text(APIS, "utf-8")
    async with studio_server(tmp_path_factory.mktemp("data"), projects) as running:
        await add_user(running, "admin@example.org", Role.ADMIN)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: Server) -> AsyncIterator[Visit]:
    """The administrator, signed in."""
    async with Visit(server) as visitor:
        await visitor.sign_in("admin@example.org")
        yield visitor


def row(page: str, name: str) -> str:
    found = re.search(rf"<tr><td><code>{name}</code>.*?</tr>", page, re.S)
    assert found, page
    return found[0]


async def length_read(server: Server) -> str:
    tried = await server._engines["one"].try_function("functions/read_key.py", {}, Sample())
    assert tried is not None
    return "failed" if tried.failed else str(tried.returned)


async def test_a_secret_is_set_replaced_and_deleted_and_never_shown(server: Server, visit: Visit) -> None:
    _, page = await visit.get(PAGE)
    assert "not set" in row(page, "crm-key")
    assert "functions/read_key.py" in row(page, "crm-key")
    assert "not set" in row(page, "api_crm")
    assert "only if it differs" in row(page, "api_crm_live")
    assert await length_read(server) == "failed"

    status, where = await visit.post(PAGE, name="crm-key", secret="s3cret-12345")
    assert (status, where) == (303, f"{PAGE}?project=one&saved")
    _, page = await visit.get(f"{PAGE}?project=one&saved")
    assert "badge good" in row(page, "crm-key")
    assert "s3cret-12345" not in page
    assert await length_read(server) == "12"

    await visit.post(PAGE, name="CRM_KEY", secret="s3cret")
    assert await length_read(server) == "6"
    assert await server.store.project_secret("two", "CRM_KEY") is None

    status, page = await visit.get(f"{PAGE}/CRM_KEY/delete")
    assert "SecretNotFound" in page
    assert "functions/read_key.py" in page
    status, _ = await visit.post(f"{PAGE}/CRM_KEY/delete")
    assert status == 303
    assert await length_read(server) == "failed"
    assert (await visit.get(f"{PAGE}/CRM_KEY/delete"))[0] == 404

    acts = [(entry.act, entry.subject) for entry in await server.store.audit(limit=3)]
    assert acts == [("secret_deleted", "CRM_KEY"), ("secret_set", "CRM_KEY"), ("secret_set", "CRM_KEY")]
    _, page = await visit.get("/studio/settings/audit")
    assert "s3cret" not in page


@pytest.mark.parametrize(
    ("name", "secret", "told"),
    [
        ("-", "x", "at least one letter"),
        ("a" * 101, "x", "at most 100"),
        ("crm", " ", "Enter the secret"),
        ("crm", "x" * 20_001, "Enter"),
    ],
)
async def test_what_cannot_be_a_secret_is_refused(
    server: Server, visit: Visit, name: str, secret: str, told: str
) -> None:
    status, page = await visit.post(PAGE, name=name, secret=secret)
    assert status == 422
    assert told in page
    assert await server.store.project_secret_names("one") == {}


async def test_the_settings_win_over_the_store(server: Server) -> None:
    configured = ConfiguredSecrets({("ONE", "CRM_KEY"): "configured"})
    assert configured.names("one") == {"CRM_KEY"}
    secrets = ProjectSecrets(configured, server.store)
    await server.store.save_project_secret("one", "CRM_KEY", "stored", 1)
    await server.store.save_project_secret("one", "OTHER", "stored", 1)
    assert await secrets("one", "crm key") == "configured"
    assert await secrets("one", "other") == "stored"
    assert await secrets("two", "other") is None
    for name in ("CRM_KEY", "OTHER"):
        await server.store.delete_project_secret("one", name)


async def test_secrets_are_found_without_running_anything(tmp_path: Path) -> None:
    shutil.copytree(LUMEN, tmp_path / "p")
    (tmp_path / "p/functions/read_key.py").write_text(READS, "utf-8")
    project = load_project(tmp_path / "p")
    assert [(s.name, s.files) for s in named_secrets(project)] == [("crm-key", ("functions/read_key.py",))]
    (tmp_path / "p/functions/read_key.py").write_text("def broken(", "utf-8")
    assert named_secrets(project) == ()
    assert named_secrets(replace(project, modules=())) == ()
