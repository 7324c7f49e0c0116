"""An SMS connection whose auth token was lost: it takes nothing in, and tells why (`warmline secrets forget`)."""

import base64
import hmac
from pathlib import Path

import aiohttp

from support.installation import LUMEN, TOKEN
from support.phones import ADA, NUMBER, carrier, sms_fields
from support.stores import opened
from warmline.channels.sms import setup
from warmline.channels.sms.connections import PROVIDER, webhook_url
from warmline.ports import Connection
from warmline.testing.server import SECRET_KEY, Order, start


async def test_nobody_signs_for_a_lost_token_and_the_carrier_refuses_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'w.db'}"
    async with carrier() as sim, aiohttp.ClientSession() as http:
        values = {key: value for key, value in sms_fields(sim).items() if key != "auth_token"}
        lost = Connection(id="c1", provider=PROVIDER, name="SMS", project_id="lumen-energy", values=values, secrets={})
        async with opened(url, key=SECRET_KEY) as store:
            await store.save_connection(lost)
        server, _ = await start(Order(database_url=url, project=str(LUMEN), connector_token=TOKEN))
        try:
            form = {"Body": "Hi", "From": ADA, "MessageSid": "SM1", "NumMedia": "0", "To": NUMBER}
            hook = webhook_url(server.url, lost.id)
            signed = (hook + "".join(name + form[name] for name in sorted(form))).encode()
            given = base64.b64encode(hmac.digest(b"", signed, "sha1")).decode()
            async with http.post(hook, data=form, headers={"X-Twilio-Signature": given}) as answer:
                assert answer.status == 403, "an empty token is known to everybody"
            (verdict,) = await setup.check(http, lost, server.url)
            assert (verdict.ok, verdict.text) == (False, "the carrier refuses the account's credentials")
        finally:
            await server.stop()
