"""The APIs of a project while a scenario is played: they answer what the scenario says, and nothing else."""

import json
from collections import Counter

from warmline.agent.scenarios.scenario import Mock, Scenario
from warmline.agent.turn.services import ApiRequest, ApiResponse, ServiceFailed


class MockedApis:
    """Answers `conv.api` by the `api_mocks` of the scenario in play (agent-project.md §2.23)."""

    def __init__(self) -> None:
        """Know no answer before the first `use`."""
        self._scenario: Scenario | None = None
        self._asked: Counter[tuple[str, str]] = Counter()

    def use(self, scenario: Scenario) -> None:
        """Answer by `scenario` from its first rule on."""
        self._scenario = scenario
        self._asked.clear()

    async def __call__(self, request: ApiRequest) -> ApiResponse:
        """Give the next answer; see `warmline.agent.turn.services.Apis`."""
        operation = (request.api, request.operation)
        rules = self._scenario.mocks.get(operation, ()) if self._scenario else ()
        mock = _rule(rules, self._asked[operation])
        self._asked[operation] += 1
        if mock is None:
            raise ServiceFailed(f"the scenario's api_mocks have no answer for {request.api}.{request.operation}")
        text = mock.body if isinstance(mock.body, str) else json.dumps(mock.body) if mock.body is not None else ""
        headers = {"Content-Type": "text/plain" if isinstance(mock.body, str) else "application/json", **mock.headers}
        return ApiResponse(status=mock.status, headers=tuple(headers.items()), body=text.encode())


def _rule(rules: tuple[Mock, ...], number: int) -> Mock | None:
    """Give the rule for the call with this number, from 0; None when they are used up."""
    for rule in rules:
        if rule.repeat < 0 or number < rule.repeat:
            return rule
        number -= rule.repeat
    return None
