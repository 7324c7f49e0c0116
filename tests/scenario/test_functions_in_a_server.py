"""What the operator of a whole server gives to functions reaches them: secrets, APIs, limits, memory of customers."""

import asyncio
from pathlib import Path

from support.agent_projects import calling, start_function, write_project
from support.scripted_http import Reply, ScriptedServer
from warmline.agent.turn.limits import PoolSettings
from warmline.app import Server
from warmline.config import Settings
from warmline.ports import Connector
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient

APIS = """
    api_integrations:
      - name: shop
        description: Orders.
        environments: {{live: {{base_url: "{url}", auth_type: apiKey}}}}
        operations: [{{name: order, method: GET, resource: "/orders/{{number}}"}}]
"""
EXPERIMENTAL = '{"memory": {"identifier_source": "state:who", "repeat_caller": {"state_keys": ["visits"]}}}'
USE = """
    conv.state.visits = conv.memory.get("visits", 0) + 1
    status = conv.api.shop.order("7").json()["status"]
    return {"utterance": f"{conv.utils.get_secret('word')} {status} {conv.state.visits}", "hangup": True}
"""


async def is_remembered(server: Server, visits: int) -> None:
    """Wait until the turn after the end has kept the memory."""
    async with asyncio.timeout(PATIENCE_S):
        while await server.store.customer_memory("sample", "account-1") != b'{"visits":%d}' % visits:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_function_gets_what_the_server_is_set_to_give(tmp_path: Path) -> None:
    async with ScriptedServer() as shop:
        shop.always("GET /orders/7", Reply(body={"status": "shipped"}))
        files = {
            **start_function("conv.state.who = 'account-1'"),
            **calling(("use", USE), ("hang", "import time\ntime.sleep(60)")),
            "config/api_integrations.yaml": APIS.format(url=shop.url),
            "agent_settings/experimental_config.json": EXPERIMENTAL,
        }
        settings = Settings(
            database_url=f"sqlite:///{tmp_path}/w.db",
            secret_key="k" * 40,
            projects=write_project(tmp_path / "project", files),
            port=0,
            functions=PoolSettings(limit_s=1.0),
            project_secrets={("SAMPLE", "WORD"): "sesame", ("SAMPLE", "API_SHOP"): "shop-key"},
        )
        server = await Server.start(settings)
        try:
            connector = Connector(id="c", token="demo-connector-token", project_id="sample", host="localhost")
            await server.store.save_connector(connector)
            for visit in (1, 2):
                async with MessagingClient(server.url) as client:
                    await client.start()
                    await client.expect("POLY_AGENT_MESSAGE")
                    await client.say("please run hang now")
                    await client.expect("SYSTEM_MESSAGE")
                    await client.say("please run use now")
                    said = await client.expect("POLY_AGENT_MESSAGE", 2)
                    assert said.payload["text"] == f"sesame shipped {visit}"
                    await client.expect("SESSION_END")
                    records = [record for _, record in await server.store.turn_records(client.session_id)]
                    assert any(b"function-timeout" in record for record in records)
                await is_remembered(server, visit)
            assert [asked.headers["x-api-key"] for asked in shop.asked] == ["shop-key"] * 2
        finally:
            await server.stop()
