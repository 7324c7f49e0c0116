"""What functions ask of the server while they run: APIs, secrets, a model's answer, the memory of customers."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from support.agent_projects import Talk, calling, rules, start_function, texts, topic_file, write_project
from support.scripted_http import Reply, ScriptedServer
from support.stores import opened
from warmline.agent import engine_for
from warmline.agent.services.apis import HttpApis
from warmline.agent.services.customers import StoredMemory
from warmline.agent.services.secrets import ConfiguredSecrets
from warmline.agent.turn.limits import PoolSettings
from warmline.agent.turn.services import Prompt, ServiceFailed, Services
from warmline.system import SystemClock
from warmline.testing.messaging_client import PATIENCE_S

RUN = "please run use now"
Start = Callable[..., Talk]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Open a conversation with a project of the given files and services."""
    async with AsyncExitStack() as stack:

        def talk(files: dict[str, str], services: Services, asks: int = 10, **settings: object) -> Talk:
            pool = PoolSettings(size=1, limit_s=PATIENCE_S, asks=asks)
            engine = engine_for(write_project(tmp_path, files), settings=pool, services=services)
            stack.push_async_callback(engine.close)
            return Talk(engine, **settings)  # type: ignore[arg-type]

        yield talk


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """Give the API that projects call."""
    async with ScriptedServer() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Give an HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


def api_file(url: str, auth: str = "none") -> dict[str, str]:
    """Give the file of an API `crm`, which is at `url` in the environment live."""
    return {
        "config/api_integrations.yaml": f"""
            api_integrations:
              - name: crm
                description: Customers.
                environments:
                  live: {{base_url: "{url}/v1/", auth_type: {auth}}}
                operations:
                  - {{name: get_customer, method: GET, resource: "/customers/{{id}}/notes/{{note}}"}}
                  - {{name: search, method: GET, resource: /customers}}
                  - {{name: create, method: POST, resource: customers}}
            """
    }


def secrets(**values: str) -> ConfiguredSecrets:
    """Give the secrets of the project `sample`."""
    return ConfiguredSecrets({("SAMPLE", name.upper()): value for name, value in values.items()})


async def test_an_api_is_called_with_path_variables_and_everything_else(
    start: Start, server: ScriptedServer, http: aiohttp.ClientSession
) -> None:
    body = """
        one = conv.api.crm.get_customer("a/b c", note=7)
        assert one.status_code == 200 and one.ok and one.json() == {"name": "Ada"}, one.text
        assert conv.api.crm.get_customer(id="x", note="y").status_code == 404
        found = conv.api.crm.search(params={"q": "ä b", "tag": ["1", "2"], "none": None}, headers={"X-Mine": "1"})
        assert found.headers["x-theirs"] == "2" and found.text == "plain" and found.encoding == "utf-8"
        conv.api.crm.create(json={"n": 1})
        conv.api.crm.create(data={"n": "1 2"})
        conv.api.crm.create(data=b"raw", headers={"Content-Type": "text/x"})
        return {"utterance": "ok"}
    """
    answer = Reply(body=b"plain", headers={"X-Theirs": "2", "Content-Type": "text/plain; charset=utf-8"})
    server.line_up("GET /v1/customers", answer)
    server.line_up("GET /v1/customers/a/b c/notes/7", Reply(body={"name": "Ada"}))
    server.line_up("GET /v1/customers/x/notes/y", Reply(status=404))
    files = calling(("use", body)) | api_file(server.url)
    outcome = await start(files, Services(apis=HttpApis(http, secrets()))).say(RUN)
    assert (texts(outcome), rules(outcome)) == (["ok"], [])
    search, *created = server.asked[2:]
    assert (search.query, search.headers["x-mine"]) == ("q=ä b&tag=1&tag=2", "1")
    assert [(c.body, c.headers["content-type"]) for c in created] == [
        (b'{"n":1}', "application/json"),
        (b"n=1+2", "application/x-www-form-urlencoded"),
        (b"raw", "text/x"),
    ]


@pytest.mark.parametrize(
    ("auth", "secret", "expected"),
    [
        ("basic", {"api_crm": "ada:pässword"}, ("authorization", "Basic YWRhOnDDpHNzd29yZA==")),
        ("apiKey", {"api_crm": "k1"}, ("x-api-key", "k1")),
        ("apiKey", {"api_crm": '{"header": "X-Token", "value": "k2"}'}, ("x-token", "k2")),
        ("oauth2", {"api_crm": "t1"}, ("authorization", "Bearer t1")),
        ("basic", {"api_crm": "a:b", "api_crm_live": "c:d"}, ("authorization", "Basic Yzpk")),
    ],
)
async def test_the_servers_secrets_authenticate_and_stay_out_of_the_projects_reach(
    start: Start,
    server: ScriptedServer,
    http: aiohttp.ClientSession,
    auth: str,
    secret: dict[str, str],
    expected: tuple[str, str],
) -> None:
    body = "conv.api.crm.search()\nreturn {'utterance': str(conv.api.crm.search().request)}"
    files = calling(("use", body)) | api_file(server.url, auth)
    outcome = await start(files, Services(apis=HttpApis(http, secrets(**secret)))).say(RUN)
    assert texts(outcome) == ["None"]
    assert [asked.headers[expected[0]] for asked in server.asked] == [expected[1]] * 2


async def test_a_key_can_stand_in_the_query_and_is_not_in_the_answers_address(
    start: Start, server: ScriptedServer, http: aiohttp.ClientSession
) -> None:
    files = calling(("use", "return {'utterance': conv.api.crm.search(params={'a': 1}).url}"))
    key = secrets(api_crm='{"query": "key", "value": "k3"}')
    talk = start(files | api_file(server.url, "apiKey"), Services(apis=HttpApis(http, key)))
    assert texts(await talk.say(RUN)) == [f"{server.url}/v1/customers"]
    assert server.asked[0].query == "a=1&key=k3"


async def test_an_access_token_is_fetched_once_and_used_until_it_ends(
    start: Start, server: ScriptedServer, http: aiohttp.ClientSession
) -> None:
    server.always("POST /token", Reply(body={"access_token": "t9", "expires_in": 3600}))
    client = f'{{"token_url": "{server.url}/token", "client_id": "c i", "client_secret": "s", "scope": "read"}}'
    files = calling(("use", "conv.api.crm.search()\nconv.api.crm.search()\nreturn {'utterance': 'ok'}"))
    services = Services(apis=HttpApis(http, secrets(api_crm=client)))
    assert texts(await start(files | api_file(server.url, "oauth2"), services).say(RUN)) == ["ok"]
    (token,) = server.requests("POST /token")
    assert (token.body, token.headers["authorization"]) == (
        b"grant_type=client_credentials&scope=read",
        "Basic YyUyMGk6cw==",
    )
    assert [asked.headers["authorization"] for asked in server.requests("GET /v1/customers")] == ["Bearer t9"] * 2


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("conv.api.crm.get_customer('a')", "needs the path variables note"),
        ("conv.api.crm.get_customer('a', 'b', 'c')", "takes the path variables id, note"),
        ("conv.api.crm.get_customer('a', wrong='b')", "takes the path variables id, note"),
        ("conv.api.crm.get_customer('..', 'b')", "goes up"),
        ("conv.api.crm.missing()", "no operation `missing`"),
        ("conv.api.other.search()", "no API `other`"),
        ("conv.api.crm.search(timeout=0.2)", "did not answer within 0.2 s"),
        ("conv.api.crm.create()", "cannot be reached"),
        ("conv.api.crm.create(data=5)", "`data` must be"),
    ],
)
async def test_what_is_wrong_with_a_call_is_told(
    start: Start, server: ScriptedServer, http: aiohttp.ClientSession, use: str, told: str
) -> None:
    server.always("GET /v1/customers", Reply(delay_s=2.0))
    server.always("POST /v1/customers", Reply(cut=True))
    files = calling(("use", use)) | api_file(server.url)
    outcome = await start(files, Services(apis=HttpApis(http, secrets()))).say(RUN)
    assert outcome.failed
    assert told in outcome.findings[0].text
    assert (outcome.findings[0].file, outcome.findings[0].line) == ("functions/use.py", 6)


async def test_an_environment_without_an_address_and_a_missing_secret_are_told(
    start: Start, server: ScriptedServer, http: aiohttp.ClientSession
) -> None:
    files = calling(("use", "conv.api.crm.search()")) | api_file(server.url, "basic")
    services = Services(apis=HttpApis(http, secrets()))
    talk = start(files, services)
    outcome = await talk.say(RUN)
    assert "the operator has not set the API's secret" in outcome.findings[0].text
    assert [(t.kind, t.data["name"], t.data.get("value")) for t in outcome.trace if "conv.api" in str(t.data)][:2] == [
        ("tool", "conv.api.crm.search", None),
        ("returned", "conv.api.crm.search", "ApiError"),
    ]
    talk.settings["environment"] = "sandbox"
    assert "crm has no base_url for the environment sandbox" in (await talk.say(RUN)).findings[0].text
    assert server.asked == []


async def test_a_redirect_is_not_followed(start: Start, server: ScriptedServer, http: aiohttp.ClientSession) -> None:
    server.always("GET /v1/customers", Reply(status=302, headers={"Location": f"{server.url}/elsewhere"}))
    files = calling(("use", "return {'utterance': str(conv.api.crm.search().status_code)}")) | api_file(server.url)
    assert texts(await start(files, Services(apis=HttpApis(http, secrets()))).say(RUN)) == ["302"]
    assert len(server.asked) == 1


async def test_secrets_are_given_by_name_and_objects_as_dicts(start: Start) -> None:
    body = """
        assert conv.utils.get_secret("Plain-Key") == "top secret" and conv.utils.get_secret("object") == {"a": 1}
        for name, error in (("missing", SecretNotFound), ("", InvalidInput), (5, InvalidInput)):
            try:
                conv.utils.get_secret(name)
            except error:
                continue
            raise AssertionError(name)
        return {"utterance": "ok"}
    """
    services = Services(secrets=secrets(plain_key="top secret", object='{"a": 1}'))
    outcome = await start(calling(("use", body)), services).say(RUN)
    assert texts(outcome) == ["ok"]
    assert "conv.utils.get_secret" in str(outcome.trace)
    assert "top secret" not in str(outcome.trace)


class Model:
    """Answers every question with the same words."""

    def __init__(self, answer: str | None) -> None:
        """Answer so; fail with None."""
        self.answer = answer
        self.prompts: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> str:
        """Answer."""
        self.prompts.append(prompt)
        if self.answer is None:
            raise ServiceFailed("the model is down")
        return self.answer


async def test_C65_a_model_is_asked_beside_the_conversation(start: Start) -> None:
    body = """
        assert conv.utils.prompt_llm("what?", show_history=True, model="gpt-99") == '{"a": 1}'
        assert conv.utils.prompt_llm("what?", return_json=True) == {"a": 1}
        return {"utterance": "ok"}
    """
    model = Model('{"a": 1}')
    talk = start(calling(("use", body)), Services(model=model), language="en-GB")
    assert texts(await talk.say(RUN)) == ["ok"]
    first, second = model.prompts
    assert [(item.role, item.text) for item in first.history] == [("user", RUN)]
    assert (first.text, first.model, first.language, first.json) == ("what?", "gpt-99", "en-GB", False)
    assert (second.history, second.json, second.session_id) == ((), True, "session-1")


@pytest.mark.parametrize(
    ("model", "error"),
    [(None, "NotImplementedError"), (Model(None), "ChatCompletionError"), (Model("no json"), "ChatCompletionError")],
)
async def test_a_model_that_is_missing_or_fails_raises_what_the_format_says(
    start: Start, model: Model | None, error: str
) -> None:
    outcome = await start(calling(("use", "conv.utils.prompt_llm('x', return_json=True)")), Services(model=model)).say(
        RUN
    )
    assert outcome.calls[0].error.startswith(f"function-error: {error}: ")


async def test_asks_are_limited_for_the_functions_of_a_turn_together(start: Start) -> None:
    body = """
        conv.utils.prompt_llm("one")
        conv.utils.prompt_llm("two")
        try:
            conv.utils.prompt_llm("three")
        except PromptLLMCallLimitError:
            return {"utterance": "enough"}
    """
    model = Model("yes")
    talk = start(calling(("use", body)), Services(model=model), asks=2)
    outcome = await talk.say(RUN)
    assert texts(outcome) == ["enough"]
    assert [(f.rule, f.file) for f in outcome.findings] == [("function-asks", "functions/use.py")]
    assert texts(await talk.say(RUN)) == ["enough"]
    assert len(model.prompts) == 4


async def test_threads_of_a_function_may_ask(start: Start) -> None:
    body = """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            return {"utterance": " ".join(pool.map(conv.utils.prompt_llm, "abcdefgh"))}
    """
    assert texts(await start(calling(("use", body)), Services(model=Model("y"))).say(RUN)) == [" ".join("y" * 8)]


MEMORY = {
    "agent_settings/experimental_config.json": (
        '{"memory": {"repeat_caller": {"state_keys": ["name", "visits"], "identifier_blacklist": ["+440"]}}}'
    )
}


async def test_a_returning_customer_is_remembered(start: Start, store_url: str) -> None:
    begin = """
        conv.state.name = conv.memory.get("name")
        conv.state.visits = conv.memory.get("visits", 0) + 1
        conv.state.other = "not kept"
        return {"utterance": f"{conv.state.name} {conv.state.visits} {'other' in conv.memory} {conv.memory.fields()}"}
    """
    files = {**start_function(begin), **calling(("use", "conv.state.name = 'Ada'")), **MEMORY}
    async with opened(store_url) as store:
        services = Services(memory=StoredMemory(store, SystemClock()))

        async def visit(number: str | None) -> list[str]:
            talk = start(files, services, caller_number=number)
            said = texts(await talk.start())
            await talk.say(RUN)
            await talk.end()
            return said

        assert await visit("+441") == ["None 1 False []"]
        assert await visit("+441") == ["Ada 2 False ['name', 'visits']"]
        assert await visit("+442") == ["None 1 False []"]
        for nobody in ("+440", None):
            assert await visit(nobody) == ["None 1 False []"]
            assert await visit(nobody) == ["None 1 False []"]


async def test_the_start_function_may_find_out_who_the_customer_is(start: Start, store_url: str) -> None:
    files = {
        "agent_settings/experimental_config.json": (
            '{"memory": {"identifier_source": "state:who", "repeat_caller": {"state_keys": ["seen"]}}}'
        ),
        **start_function("conv.state.who = 'account-1'"),
        **calling(("use", "conv.state.seen = (conv.memory.get('seen') or 0) + 1\nreturn str(conv.state.seen)")),
    }
    async with opened(store_url) as store:
        services = Services(memory=StoredMemory(store, SystemClock()))
        for _ in range(2):
            talk = start(files, services)
            await talk.start()
            await talk.say(RUN)
            await talk.end()
        assert await store.customer_memory("sample", "account-1") == b'{"seen":2}'


GUIDE = (Path(__file__).parents[3] / "docs" / "guide" / "functions.md").read_text(encoding="utf-8")


async def test_the_guides_example_works(start: Start, server: ScriptedServer, http: aiohttp.ClientSession) -> None:
    blocks = dict(re.findall(r"^```(python|yaml)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
    server.line_up("GET /orders/A-1042", Reply(body={"id": 7, "status": "on its way"}))
    files = {
        "functions/find_order.py": blocks["python"],
        "config/api_integrations.yaml": blocks["yaml"].replace("https://shop.lumen-energy.com", server.url),
        "topics/orders.yaml": topic_file("orders", "where is my order", actions="Call {{fn:find_order}}."),
    }
    talk = start(files, Services(apis=HttpApis(http, secrets(api_shop="k"))))
    (asked,) = texts(await talk.say("where is my order"))
    assert "number" in asked
    assert texts(await talk.say("A-1042")) == ["Your order is on its way."]
    assert server.asked[0].headers["x-api-key"] == "k"


def test_every_limit_of_functions_is_in_the_guide() -> None:
    for name in ("TIME_S", "MEMORY_MB", "STATE_KB", "OUTPUT_KB", "ASKS", "WORKERS", "MOST_WORKERS"):
        assert f"| `WARMLINE_FUNCTION_{name}` |" in GUIDE
