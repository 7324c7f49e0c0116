"""A filter that asks a moderation endpoint (OpenAI API reference, "Moderations"), besides the rules."""

from collections.abc import Mapping

import aiohttp
import msgspec

from warmline.agent.models.endpoint import Endpoint
from warmline.agent.safety.port import Direction, SafetyUnavailable, Verdict
from warmline.agent.safety.rules import RuleFilter

_SCORES = {"lenient": 0.8, "medium": 0.5, "strict": 0.2}
"""The score from which a text is stopped, by level; an endpoint without scores is believed its flags."""
_LIMIT_S = 4.0


class _Result(msgspec.Struct):
    categories: dict[str, bool | None] = {}
    category_scores: dict[str, float | None] = {}


class _Answer(msgspec.Struct):
    results: list[_Result]


class ModerationFilter:
    """Implements `SafetyFilter` over HTTP."""

    def __init__(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> None:
        """Ask the endpoint's `moderation_model`."""
        self._http = http
        self._endpoint = endpoint
        self._rules = RuleFilter()

    async def judge(self, text: str, levels: Mapping[str, str], direction: Direction) -> Verdict | None:
        """Judge a text; see `SafetyFilter`."""
        verdict = await self._rules.judge(text, levels, direction)
        if verdict is not None or not levels:
            return verdict
        result = await self._ask(text)
        for category, level in levels.items():
            if _score(result, category) >= _SCORES[level]:
                return Verdict(category, "moderation")
        return None

    async def _ask(self, text: str) -> _Result:
        try:
            async with self._http.post(
                f"{self._endpoint.base_url.rstrip('/')}/moderations",
                data=msgspec.json.encode({"model": self._endpoint.moderation_model, "input": text}),
                headers=self._endpoint.headers,
                timeout=aiohttp.ClientTimeout(total=_LIMIT_S),
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise SafetyUnavailable(f"The moderation endpoint answered with HTTP {response.status}.")
                return msgspec.json.decode(await response.read(), type=_Answer).results[0]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SafetyUnavailable(f"The moderation endpoint does not answer ({type(error).__name__}).") from None
        except (msgspec.MsgspecError, IndexError):
            raise SafetyUnavailable("The moderation endpoint answered with what is no answer.") from None


def _score(result: _Result, category: str) -> float:
    """Give the highest score of a category and its finer ones, such as "violence/graphic" and "self-harm/intent"."""
    wanted = category.replace("_", "-")
    scores = [0.0]
    for name in {*result.categories, *result.category_scores}:
        if name.replace("_", "-").partition("/")[0] in (wanted, *_ALSO.get(category, ())):
            score = result.category_scores.get(name)
            scores.append(float(bool(result.categories.get(name))) if score is None else score)
    return max(scores)


_ALSO = {"hate": ("harassment",)}
"""What the endpoint calls by another name."""
