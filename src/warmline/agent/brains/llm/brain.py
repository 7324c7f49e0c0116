"""The `llm` brain: one answer of the model after the other until the turn is over (agent-project.md §8.2)."""

from collections.abc import Mapping, Sequence

import msgspec

from warmline.agent.brains.llm import prompts
from warmline.agent.brains.llm.knobs import model_name, model_settings, prompt
from warmline.agent.brains.llm.layout import lay_out, lay_out_rephrasing
from warmline.agent.brains.llm.notes import Called, Notes, Said, read_notes, take_untold, write_notes
from warmline.agent.brains.llm.phrases import PhraseFilters
from warmline.agent.brains.llm.retrieval import Knowledge
from warmline.agent.brains.llm.sentences import Sentences
from warmline.agent.brains.topics.meaning import Encoder
from warmline.agent.models.endpoint import Endpoint
from warmline.agent.models.port import ModelAnswer, ModelFailed, ModelPort, ModelRequest
from warmline.agent.project.experimental import topic_functions_in_flow
from warmline.agent.project.model import Project, Step, Topic
from warmline.agent.turn.brain import (
    CallFunction,
    CallHandoff,
    FunctionResult,
    GiveUp,
    Move,
    SaveEntities,
    SendTemplate,
    Situation,
    Speak,
    TakeCondition,
)
from warmline.agent.turn.tools import Tool, ToolKind, visible
from warmline.domain.turn import Finding
from warmline.ports import Clock

_MOST_ANSWERS = 12
"""Answers of the model in one turn; more are a loop (agent-project.md §8.2.9)."""
_REPHRASING_S = 8.0
"""The time for other words; without them the function's own are said."""


class LlmBrain:
    """Serves one version of one project with a language model."""

    def __init__(
        self, project: Project, model: ModelPort, endpoint: Endpoint, clock: Clock, encoder: Encoder | None = None
    ) -> None:
        """Fit the retriever; takes a moment."""
        self._model = model
        self._endpoint = endpoint
        self._clock = clock
        self._knowledge = Knowledge(project, encoder)
        self.retriever = self._knowledge.retriever
        self._filters = PhraseFilters(project)

    async def next_move(self, situation: Situation) -> Move:
        """Choose the next move of the turn; see `warmline.agent.turn.brain.Brain`."""
        notes = read_notes(situation.memory, situation.turn_id)
        if not notes.asked and not situation.results:
            self._retrieve(situation, notes)
        _take_results(situation, notes)
        if notes.filtered:
            return self._after_filter(situation, notes)
        while True:
            while (call := notes.waiting) is not None:
                move = self._make(situation, notes, call)
                if move is not None:
                    return move
            if notes.asked >= _MOST_ANSWERS:
                text = f"The language model was asked {_MOST_ANSWERS} times in one turn and still calls functions."
                return _give_up(notes, "tool-loop", text)
            move = await self._ask(situation, notes)
            if move is not None:
                return move

    def _after_filter(self, situation: Situation, notes: Notes) -> Move:
        """Go on after the function of a phrase filter: its word is the last, if it said any."""
        if notes.told or any(result.said for result in situation.results):
            return _speak(notes, "")
        return _give_up(notes, "phrase-filter", "A phrase filter left nothing to say.")

    async def rephrase(self, situation: Situation, text: str) -> str:
        """Give a function's text in other words; see `warmline.agent.turn.rephrasing`."""
        request = ModelRequest(
            messages=lay_out_rephrasing(situation, text),
            model=self._endpoint.named(model_name(situation)),
            settings=model_settings(situation),
            limit_s=min(_REPHRASING_S, self._endpoint.limit_s),
            purpose="rephrase",
        )
        try:
            answer = await self._model.complete(request)
        except ModelFailed as failed:
            _trace_request(situation, request, {"failed": failed.kind.value, "attempts": failed.attempts})
            return text
        _trace_request(situation, request, _told(answer))
        return answer.text.strip() or text

    def _retrieve(self, situation: Situation, notes: Notes) -> None:
        found = self._knowledge.find(situation)
        if found:
            names = [item.topic.name for item in found]
            notes.retrieved = [names, *notes.retrieved][: self._knowledge.remembered]
            best = found[0]
            notes.topic, notes.distance = best.topic.name, best.distance
            notes.why = f"nearest of {len(found)} topics, at distance {best.distance:.2f}"
        data = {item.topic.name: round(item.distance, 3) for item in found}
        situation.trace("retrieved", {"topics": data})

    async def _ask(self, situation: Situation, notes: Notes) -> Move | None:
        """Ask the model; None when its answer calls tools, which are then waiting in `notes`."""
        topics = self._knowledge.kept(situation, notes.retrieved)
        tools = self._tools(situation, topics)
        sink = self._sink(situation, notes)
        request = ModelRequest(
            messages=lay_out(situation, topics, notes.messages()),
            model=self._endpoint.named(model_name(situation)),
            tools=tuple(tool.schema for tool in tools),
            settings=model_settings(situation),
            limit_s=self._endpoint.limit_s - notes.spent_s,
        )
        notes.asked += 1
        began = self._clock.monotonic()
        try:
            answer = await self._model.complete(request, sink)
        except ModelFailed as failed:
            _trace_request(situation, request, {"failed": failed.kind.value, "attempts": failed.attempts})
            return _give_up(notes, f"llm-{failed.kind.value}", str(failed))
        notes.spent_s += self._clock.monotonic() - began
        notes.tokens += answer.usage.prompt + answer.usage.completion
        _trace_request(situation, request, {**_told(answer), "tokens_this_turn": notes.tokens})
        return self._read(situation, notes, answer)

    def _sink(self, situation: Situation, notes: Notes) -> Sentences | None:
        """Stream what the turn says first; see `Situation.stream`."""
        if situation.stream is None or situation.silent or notes.untold:
            return None
        return Sentences(situation.stream, lambda text: self._filters.first(text, situation.language) is None)

    def _tools(self, situation: Situation, topics: Sequence[Topic]) -> tuple[Tool, ...]:
        """What may be called now (agent-project.md §8.2.5)."""
        fill_in, position = situation.fill_in, situation.position
        texts = [fill_in(situation.project.rules.value)]
        if position is None or topic_functions_in_flow(situation.project, position.flow.name, position.step.name):
            texts += [fill_in(topic.actions.value) for topic in topics]
        if position is not None and isinstance(position.step, Step):
            texts.append(fill_in(position.step.prompt.value))
        texts.append(fill_in(situation.pending_content))
        texts += [fill_in(result.content) for result in situation.results]
        return visible(situation.project, position, texts)

    def _read(self, situation: Situation, notes: Notes, answer: ModelAnswer) -> Move | None:
        text = answer.text.strip()
        phrase = self._filters.first(text, situation.language)
        if phrase is not None:
            notes.filtered = True
            finding = Finding(rule="phrase-filter", text=f"The phrase filter `{phrase.name}` cut the answer.")
            if phrase.function:
                notes.untold = phrase.kept
                before, memory = take_untold(notes), write_notes(notes)
                return CallFunction(name=phrase.function, before=before, memory=memory, findings=(finding,))
            if not phrase.kept:
                return _give_up(notes, finding.rule, finding.text)
            return _speak(notes, phrase.kept, finding)
        if answer.calls:
            calls = [Called(id=call.id, name=call.name, arguments=call.arguments) for call in answer.calls]
            notes.exchange.append(Said(text=text, calls=_with_unique_ids(calls)))
            notes.untold = f"{notes.untold}\n\n{text}".strip()
            return None
        if not (text or notes.untold or notes.told or any(result.said for result in situation.results)):
            reason = f" (finish reason {answer.finish})" if answer.finish else ""
            return _give_up(notes, "llm-empty-answer", f"The language model answered nothing{reason}.")
        return _speak(notes, text)

    def _make(self, situation: Situation, notes: Notes, call: Called) -> Move | None:
        """Turn a tool call into a move; None when it cannot be made and the model is told so."""
        topics = self._knowledge.kept(situation, notes.retrieved)
        tool = next((tool for tool in self._tools(situation, topics) if tool.name == call.name), None)
        if tool is None:
            call.result = situation.render(prompt(situation.project, "function_not_found", prompts.FUNCTION_NOT_FOUND))
            data = {
                "rule": "function-not-found",
                "text": f"The language model called `{call.name}`, which is not offered.",
            }
            situation.trace("error", data)
            return None
        arguments = _arguments(call.arguments)
        if arguments is None:
            call.result = prompts.ARGUMENTS_WRONG
            data = {"rule": "tool-arguments", "text": f"The arguments for `{call.name}` are no JSON object."}
            situation.trace("error", data)
            return None
        call.index = len(situation.results)
        return _move(notes, tool, arguments)


def _take_results(situation: Situation, notes: Notes) -> None:
    """Write the results of moves to the calls that they answer."""
    for said in notes.exchange:
        for call in said.calls:
            if call.result is None and 0 <= call.index < len(situation.results):
                call.result = _result_text(situation, situation.results[call.index])


def _result_text(situation: Situation, result: FunctionResult) -> str:
    if result.error:
        return f"Error: {result.error}"
    content = situation.render(result.content)
    return f"{content}\n{prompts.ALREADY_ANSWERED}".strip() if result.said else content


def _move(notes: Notes, tool: Tool, arguments: Mapping[str, object]) -> Move:
    before = take_untold(notes)
    memory = write_notes(notes)
    common = {"before": before, "memory": memory, "topic": notes.topic, "why": notes.why, "distance": notes.distance}
    match tool.kind:
        case ToolKind.HANDOFF:
            return CallHandoff(
                destination=_given(arguments, "handoff_destination"),
                reason=_given(arguments, "reason"),
                utterance=_given(arguments, "utterance"),
                **common,  # type: ignore[arg-type]
            )
        case ToolKind.SMS:
            template, to = _given(arguments, "template"), _given(arguments, "to_number")
            return SendTemplate(template=template, to=to, **common)  # type: ignore[arg-type]
        case ToolKind.ENTITIES:
            return SaveEntities(values=arguments, **common)  # type: ignore[arg-type]
        case ToolKind.CONDITION:
            return TakeCondition(name=tool.condition, **common)  # type: ignore[arg-type]
        case ToolKind.FUNCTION | ToolKind.TRANSITION:
            return CallFunction(name=tool.name, arguments=arguments, **common)  # type: ignore[arg-type]


def _given(arguments: Mapping[str, object], name: str) -> str:
    """Give a text of the built-in tools; "N/A" means none (agent-project.md §3.2)."""
    value = str(arguments.get(name) or "").strip()
    return "" if value.upper() == "N/A" else value


def _arguments(text: str) -> Mapping[str, object] | None:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, object])
    except msgspec.MsgspecError:
        return None


def _with_unique_ids(calls: list[Called]) -> list[Called]:
    """Give every call an id of its own: some servers number them from zero in each answer, or not at all."""
    ids = [call.id for call in calls]
    if not all(ids) or len(set(ids)) < len(ids):
        for number, call in enumerate(calls):
            call.id = f"call_{number}"
    return calls


def _speak(notes: Notes, text: str, *findings: Finding) -> Speak:
    return Speak(
        text=text,
        before=take_untold(notes),
        topic=notes.topic,
        why=notes.why,
        distance=notes.distance,
        memory=write_notes(notes, final=True),
        findings=findings,
    )


def _give_up(notes: Notes, rule: str, text: str) -> GiveUp:
    return GiveUp(
        before=take_untold(notes),
        topic=notes.topic,
        memory=write_notes(notes, final=True),
        findings=(Finding(rule=rule, text=text),),
    )


def _told(answer: ModelAnswer) -> Mapping[str, object]:
    return {
        "answer": answer.text,
        "calls": [{"name": call.name, "arguments": call.arguments} for call in answer.calls],
        "finish": answer.finish,
        "attempts": answer.attempts,
        "prompt_tokens": answer.usage.prompt,
        "completion_tokens": answer.usage.completion,
    }


def _trace_request(situation: Situation, request: ModelRequest, outcome: Mapping[str, object]) -> None:
    """Note what was asked and what came (agent-project.md §9, `llm_requests`)."""
    data: dict[str, object] = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "functions": [str(tool.get("name", "")) for tool in request.tools],
        **outcome,
    }
    situation.trace("prompt", data)
