"""The emulated carrier at work: takes texts from the API and from phones, and lets them arrive."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp

from warmline.emulators.sms.faults import Faults
from warmline.emulators.sms.model import PHONE_ERRORS, Media, Message, SmsSettings, World, segments
from warmline.emulators.sms.webhooks import Form, Webhooks

_STOP = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT")
_START = ("START", "YES", "UNSTOP")
_ANSWERS = {
    "STOP": "You have successfully been unsubscribed. You will not receive any more messages from this number. "
    "Reply START to resubscribe.",
    "START": "You have successfully been re-subscribed to messages from this number. Reply HELP for help. "
    "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}

_NOT_FETCHED = 30019
"""Error of a text whose files could not be fetched: https://www.twilio.com/docs/api/errors/30019"""


class CarrierError(Exception):
    """The API refuses: HTTP status and the carrier's error code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Carrier:
    """One emulated account. `listeners` are told the phone whose view has changed."""

    def __init__(self, settings: SmsSettings) -> None:
        self.initial = settings
        self.faults = Faults()
        self.listeners: list[Callable[[str], None]] = []
        self.base_url = settings.public_url
        self._tasks: set[asyncio.Task[None]] = set()
        self.world = World(settings)
        self.webhooks = Webhooks(self.world, self.faults)

    async def reset(self) -> None:
        """Forget messages, opt-outs and faults; numbers keep the webhooks that were set."""
        await self.stop()
        settings = self.world.settings
        self.faults.clear()
        self.world = World(settings)
        self.webhooks = Webhooks(self.world, self.faults)
        for number in self.world.phones:
            self._changed(number)

    async def stop(self) -> None:
        """End everything that runs by itself."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.webhooks.stop()

    def configure(self, settings: SmsSettings) -> None:
        """Put new settings in force."""
        self.world.settings = settings
        for spec in settings.phones:
            self.world.phone(spec.number).name = spec.name
        for number in self.world.phones:
            self._changed(number)

    # --- from the API --------------------------------------------------------------------------------------------

    async def send(self, sender: str, receiver: str, body: str, media_urls: Sequence[str], callback: str) -> Message:
        """Take a text for a phone. Raises CarrierError."""
        world = self.world
        if (receiver, sender) in world.opted_out:
            raise CarrierError(400, 21610, "Attempt to send to unsubscribed recipient")
        message = Message(
            sid=world.sid("MM" if media_urls else "SM"),
            customer=receiver,
            number=sender,
            body=body,
            direction="outbound-api",
            status="queued",
            at=world.now(),
            files=len(media_urls),
            callback=callback,
        )
        world.messages[message.sid] = message
        self._begin(self._carry(message, list(media_urls)))
        return message

    async def _carry(self, message: Message, media_urls: list[str]) -> None:
        settings = self.world.settings
        fault = self.faults.take("fetch") if media_urls else None
        if fault is not None:
            await asyncio.sleep(fault.delay_ms / 1000)
            self._became(message, "failed", fault.code or _NOT_FETCHED)
            return
        try:
            message.media = [await self._fetched(url) for url in media_urls]
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self._became(message, "failed", _NOT_FETCHED)
            return
        self._became(message, "sending")
        await asyncio.sleep(settings.sending_ms / 1000)
        self._became(message, "sent")
        await asyncio.sleep(settings.delivery_ms / 1000)
        error = PHONE_ERRORS.get(self.world.phone(message.customer).state)
        if error is not None:
            self._became(message, "undelivered", error)
            return
        message.arrived = True
        self._became(message, "delivered")

    async def _fetched(self, url: str) -> Media:
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as answer:
            answer.raise_for_status()
            return Media(self.world.sid("ME"), answer.content_type, await answer.read())

    def _became(self, message: Message, status: str, error: int | None = None) -> None:
        message.status, message.error_code = status, error
        self._changed(message.customer)
        if not message.callback:
            return
        form: Form = [
            ("AccountSid", self.world.settings.account_sid),
            ("ApiVersion", "2010-04-01"),
            ("From", message.number),
            ("MessageSid", message.sid),
            ("MessageStatus", status),
            ("SmsSid", message.sid),
            ("SmsStatus", status),
            ("To", message.customer),
        ]
        if error is not None:
            form.append(("ErrorCode", str(error)))
        self.webhooks.send("status", message.callback, form, lane=f"status/{message.sid}")

    # --- from phones ---------------------------------------------------------------------------------------------

    def text(self, customer: str, number: str, body: str, media: Sequence[tuple[str, bytes]] = ()) -> Message:
        """A phone sends a text to a number of the account. Raises CarrierError."""
        world = self.world
        spec = world.number(number)
        if spec is None:
            raise CarrierError(404, 21606, f"the account has no number {number}")
        message = Message(
            sid=world.sid("MM" if media else "SM"),
            customer=customer,
            number=number,
            body=body[:1600],
            direction="inbound",
            status="received",
            at=world.now(),
            media=[Media(world.sid("ME"), mime_type, content) for mime_type, content in media],
        )
        world.messages[message.sid] = message
        world.phone(customer)
        keyword = self._keyword(message)
        self._changed(customer)
        self.announce(message, keyword)
        return message

    def announce(self, message: Message, keyword: str = "") -> asyncio.Task[None] | None:
        """Send the webhook of a phone's text; a second time it is the same one again. None: there is none to send."""
        spec = self.world.number(message.number)
        if spec is None or not spec.sms_url:
            return None
        form = self._form(message, keyword)
        return self.webhooks.send("inbound", spec.sms_url, form, lane=f"inbound/{message.customer}")

    def _keyword(self, message: Message) -> str:
        """Let the carrier answer the words of opting out, if it does."""
        word = message.body.strip().upper()
        keyword = "STOP" if word in _STOP else "START" if word in _START else "HELP" if word == "HELP" else ""
        if not keyword or self.world.settings.opt_out == "off":
            return ""
        line = (message.customer, message.number)
        if keyword == "START" and line not in self.world.opted_out and word == "YES":
            return ""
        if keyword == "STOP":
            self.world.opted_out.add(line)
        elif keyword == "START":
            self.world.opted_out.discard(line)
        answer = Message(
            sid=self.world.sid("SM"),
            customer=message.customer,
            number=message.number,
            body=_ANSWERS[keyword],
            direction="outbound-reply",
            status="delivered",
            at=self.world.now(),
            arrived=True,
        )
        self.world.messages[answer.sid] = answer
        return keyword if self.world.settings.opt_out == "advanced" else ""

    def _form(self, message: Message, keyword: str) -> Form:
        settings = self.world.settings
        form: Form = [
            ("AccountSid", settings.account_sid),
            ("ApiVersion", "2010-04-01"),
            ("Body", message.body),
            ("From", message.customer),
            ("FromCity", ""),
            ("FromCountry", "US"),
            ("MessageSid", message.sid),
            ("NumMedia", str(len(message.media))),
            ("NumSegments", str(segments(message.body))),
            ("SmsMessageSid", message.sid),
            ("SmsSid", message.sid),
            ("SmsStatus", "received"),
            ("To", message.number),
            ("ToCountry", "US"),
        ]
        for index, item in enumerate(message.media):
            form.append((f"MediaContentType{index}", item.mime_type))
            form.append((f"MediaUrl{index}", f"{self.base_url}{self.media_path(message, item)}"))
        if keyword:
            form.append(("OptOutType", keyword))
        return form

    def media_path(self, message: Message, item: Media) -> str:
        """Where a file is served."""
        account = self.world.settings.account_sid
        return f"/2010-04-01/Accounts/{account}/Messages/{message.sid}/Media/{item.sid}"

    def phones(self) -> list[dict[str, Any]]:
        """All phones, with what they have not seen yet left to the page."""
        return [{"number": p.number, "name": p.name, "state": p.state} for p in self.world.phones.values()]

    def _changed(self, customer: str) -> None:
        for listener in self.listeners:
            listener(customer)

    def _begin(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
