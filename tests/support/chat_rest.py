"""Another program that holds conversations over the chat REST API."""

from typing import Any, Self

import aiohttp


class ChatCaller:
    """Calls the API with a key and a connector token.

    `last` is the header of the last answer that says through which event it goes.
    """

    def __init__(self, url: str, key: str, token: str, project: str = "lumen-energy") -> None:
        self.base = f"{url}/v1/acme/{project}/chat"
        self.headers = {"X-API-KEY": key, "X-TOKEN": token}
        self.conversation_id = ""
        self.last = 0
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._http is not None
        await self._http.close()

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Any call; returns the status and the decoded body."""
        assert self._http is not None
        headers = self.headers | options.pop("headers", {})
        async with self._http.request(method, f"{self.base}/{path}", json=body, headers=headers, **options) as answer:
            self.last = int(answer.headers.get("X-Warmline-Sequence", self.last))
            return answer.status, await answer.json()

    async def create(self, body: Any = None, **options: Any) -> dict[str, Any]:
        """Begin a conversation; anything but 200 fails."""
        status, answer = await self.call("POST", "create", body, **options)
        assert status == 200, answer
        self.conversation_id = answer["conversation_id"]
        assert isinstance(answer, dict)
        return answer

    async def respond(self, message: str, **options: Any) -> dict[str, Any]:
        """Say something; anything but 200 fails."""
        body = {"conversation_id": self.conversation_id, "message": message}
        status, answer = await self.call("POST", "respond", body, **options)
        assert status == 200, answer
        assert isinstance(answer, dict)
        return answer

    async def news(self, wait: int = 10) -> list[dict[str, Any]]:
        """What happened since the last answer."""
        query = {"conversation_id": self.conversation_id, "after": str(self.last), "wait": str(wait)}
        status, answer = await self.call("GET", "events", params=query)
        assert status == 200, answer
        return list(answer["events"])

    async def until(self, name: str) -> dict[str, Any]:
        """Wait for an event of that type, which lacks the prefix; what comes before it is passed over."""
        for _ in range(20):
            for event in await self.news():
                if event["type"] == f"EVENT_TYPE_{name}":
                    self.last = event["sequence"]
                    return event
        raise AssertionError(f"no {name} came")
