"""The request to the model, laid out as recorded requests are (agent-project.md §8.1 and §8.2.4)."""

import json
from collections.abc import Iterable, Sequence

from warmline.agent.brains.llm import prompts
from warmline.agent.brains.llm.knobs import prompt
from warmline.agent.models.port import Message
from warmline.agent.project.model import Project, Step, Topic
from warmline.agent.turn.brain import Situation


def lay_out(situation: Situation, topics: Sequence[Topic], exchange: Iterable[Message]) -> tuple[Message, ...]:
    """Give the messages: who the agent is, the rules, style and language, what it knows, what was said, the step.

    Args:
        situation: the moment of the turn.
        topics: what was retrieved, in the order in which the model reads it.
        exchange: this turn's tool calls and their results.
    """
    project, render = situation.project, situation.render
    messages = _beginning(situation, _context(situation, topics))
    messages += exchange
    if situation.pending_content:
        messages.append(Message(role="system", content=prompts.PENDING + render(situation.pending_content)))
    messages += [Message(role="system", content=text) for text in _last(situation, project)]
    return tuple(messages)


def lay_out_rephrasing(situation: Situation, text: str) -> tuple[Message, ...]:
    """Give the messages that ask for `text` in words that follow from the conversation."""
    return (*_beginning(situation), Message(role="system", content=f"{prompts.REPHRASE}\n\n{text}"))


def _beginning(situation: Situation, *more: str) -> list[Message]:
    before = [_intro(situation), _rules(situation), *_style(situation), *more]
    messages = [Message(role="system", content=text) for text in before if text.strip()]
    return messages + _history(situation)


def _intro(situation: Situation) -> str:
    project = situation.project
    if persona := situation.render(project.persona.value).strip():
        return persona
    texts = (project.personality, project.role, project.additional_info)
    personality, role, more = (situation.render(text.value).strip() for text in texts)
    opening = intro(personality, role)
    return f"{opening.strip()} {more}".strip() if more else opening


def intro(personality: str, role: str) -> str:
    """Join personality and role into the opening sentence (agent-project.md §2.3), which may be sentences already."""
    if personality.lower().startswith("you are") or "\n" in personality or personality.endswith("."):
        return f"{personality} {_sentence(role)}".strip()
    if not role or role.lower().startswith("you are"):
        return " ".join(part for part in (_sentence(personality), role) if part)
    return f"You are a {' '.join(part for part in (personality.lower(), role) if part)}. "


def _sentence(text: str) -> str:
    if not text or text.lower().startswith("you are"):
        return text
    return f"You are a {text}" if text.endswith(".") else f"You are a {text}."


def _rules(situation: Situation) -> str:
    rules, own = situation.render(situation.project.rules.value).strip(), situation.project.guardrails
    guardrails = [text for name, text in prompts.GUARDRAILS.items() if name not in own.off]
    guardrails += [situation.render(text) for text in own.custom]
    return f"{rules}\n{prompts.SECURITY}".lstrip() + "".join(f"- {text}\n" for text in guardrails)


def _style(situation: Situation) -> Iterable[str]:
    project = situation.project
    is_sms = situation.channel.startswith("sms")
    style = (project.sms if is_sms else project.chat).style
    yield situation.render(style.value)
    key, default = ("sms_decorator", prompts.SMS) if is_sms else ("webchat_decorator", prompts.WEBCHAT)
    yield situation.render(prompt(project, key, default))
    if situation.language and not situation.language.lower().startswith("en"):
        text = prompt(project, "non_english_system", prompts.NON_ENGLISH)
        yield text.replace("{language_name}", prompts.language_name(situation.language))
    if project.languages:
        available = ", ".join(map(prompts.language_name, (project.default_language, *project.languages)))
        yield prompt(project, "language_switching_instructions", "").replace("{available_languages}", available)


def _context(situation: Situation, topics: Sequence[Topic]) -> str:
    if not topics:
        return ""
    project, render = situation.project, situation.render
    entries = "".join(f"{_entry(situation, topic)},\n" for topic in topics)
    text = render(prompt(project, "context_information_precursor", prompts.CONTEXT_PRECURSOR)).strip()
    around = prompt(project, "context_information", "{topics_prompt}")
    if situation.language and not situation.language.lower().startswith("en"):
        reminder = prompt(project, "non_english_rag", "")
        text += f"\n{reminder}".replace("{language_name}", prompts.language_name(situation.language)).rstrip()
    listed = f"CONTEXT_INFORMATION = [\n{entries}]"
    return f"{text}\n\n{around.replace('{topics_prompt}', listed) if '{topics_prompt}' in around else listed}"


def _entry(situation: Situation, topic: Topic) -> str:
    fields = {
        "faq_id": topic.name,
        "faq_example_questions": list(topic.example_queries),
        "faq_description": situation.render(topic.content.value),
        "faq_instructions": situation.render(topic.actions.value),
    }
    return json.dumps(fields, ensure_ascii=False, indent=1)


def _history(situation: Situation) -> list[Message]:
    roles = {"user": "user", "agent": "assistant", "live_agent": "assistant"}
    messages = [
        Message(
            role=roles.get(item.role, "user"),
            content=f"(A person from the team:) {item.text}" if item.role == "live_agent" else item.text,
        )
        for item in situation.history
        if item.text.strip()
    ]
    if not situation.text.strip():
        # Some models refuse a request in which nobody speaks.
        text = situation.render(prompt(situation.project, "silence", prompts.SILENCE))
        messages.append(Message(role="user", content=f"({text})"))
    return messages


def _last(situation: Situation, project: Project) -> Iterable[str]:
    position = situation.position
    if position is None or not isinstance(position.step, Step):
        return
    header = prompt(project, "step_header", prompts.STEP_HEADER)
    footer = prompt(project, "step_footer", prompts.STEP_FOOTER)
    text = situation.render(position.step.prompt.value)
    if position.collects:
        text = f"{text}\n\n{_collecting(situation, position.step)}"
    yield situation.render(f"{header}{text}{footer}")


def _collecting(situation: Situation, step: Step) -> str:
    lines = [prompts.COLLECT]
    for name in step.entities:
        entity = situation.project.entities.get(name)
        known = situation.entities.get(name)
        state = "not known"
        if known is not None:
            state = f"known: {known.value}" if known.valid else f"not accepted: {known.error or known.value}"
        lines.append(
            f"- {name} ({entity.type if entity else 'text'}): {entity.description if entity else ''} [{state}]"
        )
    for condition in step.conditions:
        needs = f" (needs {', '.join(condition.required_entities)})" if condition.required_entities else ""
        lines.append(f"- condition {condition.name}: {condition.description}{needs}")
    return "\n".join(lines)
