"""Answers `conv.utils.prompt_llm` (agent-project.md §5.6): a question of a function, beside the conversation."""

from warmline.agent.models.endpoint import Endpoint
from warmline.agent.models.port import Message, ModelFailed, ModelPort, ModelRequest
from warmline.agent.turn.services import Prompt, ServiceFailed

_LIMIT_S = 8.0
"""The time that the format gives such a question (agent-project.md §5.6)."""
_AS_JSON = "Answer with one JSON object and nothing else."


class PromptedModel:
    """Implements `services.Model` with a model of an endpoint."""

    def __init__(self, model: ModelPort, endpoint: Endpoint) -> None:
        """Ask `model`, whose names are those of `endpoint`."""
        self._model = model
        self._endpoint = endpoint

    async def __call__(self, prompt: Prompt) -> str:
        """Give the model's answer as text; see `services.Model`."""
        text = f"{prompt.text}\n\n{_AS_JSON}" if prompt.json else prompt.text
        roles = {"user": "user", "agent": "assistant", "live_agent": "assistant"}
        said = [Message(role=roles[item.role], content=item.text) for item in prompt.history if item.text.strip()]
        # The question goes last where there is a conversation, and is asked by somebody where there is none.
        question = Message(role="system" if said else "user", content=text)
        request = ModelRequest(
            messages=(*said, question),
            model=self._endpoint.named(prompt.model),
            json=prompt.json,
            limit_s=min(_LIMIT_S, self._endpoint.limit_s),
            purpose="prompt_llm",
        )
        try:
            answer = await self._model.complete(request)
        except ModelFailed as failed:
            raise ServiceFailed(str(failed)) from failed
        if not answer.text.strip():
            raise ServiceFailed("The language model answered nothing.")
        return answer.text.strip()
