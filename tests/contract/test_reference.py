"""The reference, `/openapi.json` and `/docs`, against what a running server does; schemathesis is the judge."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import jsonschema
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from support.chat_rest import ChatCaller
from support.installation import LUMEN, TOKEN
from support.phones import NUMBER, carrier, sms_fields
from warmline.channels import chat_rest, messaging, sms
from warmline.testing.messaging_client import MessagingClient
from warmline.testing.server import Order, start
from warmline.web.keys import ApiKeys
from warmline.web.openapi import Operation

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPERATIONS = (*chat_rest.OPERATIONS, *messaging.OPERATIONS, *sms.OPERATIONS)
CHECKS = {
    # What is right may still meet facts that the connector does not take (404), files that nobody takes (409), a
    # conversation that has ended (410).
    "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "410"]},
    # One call of each without its headers is judged below: many would be slowed down (429).
    "ignored_auth": {"enabled": False},
}
EXAMPLES = 12
EXPECTED = {
    "Say something as the customer": {200, 410},
    "Tell facts about the customer": {404},
    "Send a file to the live agent": {409},
}
"""What right calls of an operation are answered with, where it is more or less than its success."""


@dataclass(kw_only=True)
class Place:
    """A server with the demo project, its reference, and the headers that let a call in."""

    url: str
    reference: dict[str, Any]
    headers: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    database = f"sqlite:///{tmp_path_factory.mktemp('reference')}/w.db"
    async with carrier() as sim:
        order = Order(database_url=database, project=str(LUMEN), connector_token=TOKEN, sms=sms_fields(sim))
        server, answer = await start(order)
        key = await ApiKeys(server.store, server.clock, server.ids).make("tests")
        assert key is not None
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/openapi.json") as got:
            reference = await got.json()
        async with ChatCaller(server.url, key, TOKEN) as caller, MessagingClient(server.url, token=TOKEN) as visitor:
            living, leaving, ended = [(await caller.create())["conversation_id"] for _ in range(3)]
            await caller.call("PUT", "close", {"conversation_id": ended})
            await visitor.start()
            parameters = {
                "project_id": "lumen-energy",
                "conversation_id": ended,  # a living one would wait for news
                "session_id": visitor.session_id,
                "X-Host": "localhost",
                "X-TOKEN-ID": answer["sms_connection_id"],
            }
            fields = {
                ("RespondBody", "conversation_id"): [living, ended],
                ("CloseBody", "conversation_id"): [leaving, ended],
                ("OutboundBody", "agent_number"): [NUMBER, None],
            }
            narrow(reference, parameters, fields)
            headers = {
                "X-API-KEY": key,
                "X-TOKEN": TOKEN,
                "X-Token": TOKEN,
                "Authorization": f"Bearer {visitor.access_token}",
                "X-PolyAi-Auth-Token": key,
            }
            yield Place(url=server.url, reference=reference, headers=headers)
        await server.stop()


def narrow(reference: dict[str, Any], parameters: dict[str, str], fields: dict[tuple[str, str], list[Any]]) -> None:
    """Leave what there is on this server, or every call would end at a 404."""
    operations = [operation for methods in reference["paths"].values() for operation in methods.values()]
    for parameter in (p for operation in operations for p in operation.get("parameters", ())):
        if parameter["name"] in parameters:
            parameter["schema"] = {"enum": [parameters[parameter["name"]]]}
    for (struct, name), values in fields.items():
        reference["components"]["schemas"][struct]["properties"][name] = {"enum": values}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
async def test_S1_S4_S16_every_call_does_what_the_reference_says(
    place: Place, operation: Operation, mode: GenerationMode
) -> None:
    config = SchemathesisConfig.from_dict({"checks": CHECKS, "generation": {"with-security-parameters": False}})
    schema = schemathesis.openapi.from_dict(place.reference, config=config)
    described = schema[operation.path][operation.method]
    needed = {name: place.headers[name] for name in operation.security}
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described.as_strategy(generation_mode=mode))
    def judge(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(base_url=place.url, headers=needed, session=session)
        seen.add(answer.status_code)

    with requests.Session() as session:
        await asyncio.to_thread(judge)
    assert seen
    if mode is GenerationMode.POSITIVE:
        assert seen == EXPECTED.get(operation.summary, {operation.status})


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
async def test_S4_S16_nobody_gets_in_without_the_headers_that_the_reference_names(
    place: Place, operation: Operation
) -> None:
    path = re.sub(r"{\w+}", "lumen-energy", operation.path)
    async with aiohttp.ClientSession(place.url) as http:
        async with http.request(operation.method, path, headers={"X-Host": "localhost"}) as answer:
            # Without any token, sessions are the caller's mistake (messaging-protocol.md §2.2).
            assert answer.status == (400 if operation.path == "/api/v1/sessions" else 401)
            described = place.reference["paths"][operation.path][operation.method.lower()]["responses"]
            schema = described[str(answer.status)]["content"]["application/json"]["schema"]
            jsonschema.validate(await answer.json(), {**schema, "components": place.reference["components"]})


async def test_the_reference_has_every_call_and_shows_them_in_groups(place: Place) -> None:
    told = {(method.upper(), path) for path, methods in place.reference["paths"].items() for method in methods}
    assert told == {(operation.method, operation.path) for operation in OPERATIONS}
    async with aiohttp.ClientSession(place.url) as http, http.get("/docs") as answer:
        page = await answer.text()
    groups = re.split(r"<section id=", page)[1:]
    assert [re.search("<h2>(.*?)</h2>", group)[1] for group in groups] == ["Chat", "Messaging", "SMS"]  # type: ignore[index]
    assert [group.count("<h3>") for group in groups] == [4, 4, 1]
    assert "the word Bearer" in groups[1]
    assert "the file itself" in groups[1]
    assert "user_number" in groups[2]
