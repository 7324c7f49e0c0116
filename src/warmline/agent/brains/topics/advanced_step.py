"""Follows the prompt of an advanced step as far as it is plain (agent-project.md §8.3)."""

from warmline.agent.brains.topics.acting import MOST_ASKED, ask_for, joined, named, phrase, run, speak, value_given
from warmline.agent.brains.topics.actions import Branch, Plan
from warmline.agent.brains.topics.language import read_consent
from warmline.agent.brains.topics.notes import Turn
from warmline.agent.brains.topics.wording import closest
from warmline.agent.project.model import Parameter, Step
from warmline.agent.turn.brain import FunctionResult, Move
from warmline.agent.turn.tools import find_function
from warmline.domain.turn import Finding


def entered(turn: Turn, told: str = "") -> Move | None:
    """Begin the step: say what it says, ask what it asks, run what it runs.

    Args:
        turn: with notes of this place.
        told: what is said before, such as what a function returned.

    Returns:
        None when the prompt can only be followed with a language model.
    """
    plan = turn.plan
    said = joined(told, turn.situation.render(plan.say))
    question = "" if told.endswith("?") else turn.situation.render(plan.ask)
    if plan.waits and (question or told):
        waiting = "consent" if plan.if_yes or plan.if_no or plan.accept or plan.decline else "answer"
        return speak(turn, joined(said, question), turn.notes.settled(waiting=waiting, question=question))
    if plan.at_once and question and _first_parameter(turn, plan) is None:
        notes = turn.notes.settled(waiting="answer", question=question, runs=named(plan.at_once))
        return speak(turn, joined(said, question), notes)
    if plan.at_once:
        return run(turn, named(plan.at_once), before=said, question=question or turn.situation.render(plan.wants))
    if plan.waits and turn.situation.text and (move := answered(turn)):
        return move
    if said or question:
        return speak(turn, joined(said, question), turn.notes.settled(question=question))
    return None


def _first_parameter(turn: Turn, plan: Plan) -> Parameter | None:
    """Give the first thing that the function which the plan runs at once needs; None when it needs nothing."""
    situation = turn.situation
    function = find_function(situation.project, situation.position, plan.at_once[0].name)
    return function.parameters[0] if function and function.parameters else None


def answered(turn: Turn) -> Move | None:
    """Take the message as the answer to what the step asked; None when it is none."""
    notes, plan, text = turn.notes, turn.plan, turn.situation.text
    if notes.waiting == "value":
        return value_given(turn)
    if branch := _branch(plan.branches, text):
        return _go(turn, named(branch.runs), branch.say)
    consent = read_consent(text)
    if consent is not None and plan.waits:
        runs, said = (plan.if_yes, plan.accept) if consent else (plan.if_no, plan.decline)
        if runs or said:
            return _go(turn, named(runs), said)
        # A yes or no for which the step has no words: what it does anyway comes next.
        if plan.at_once:
            return _go(turn, named(plan.at_once), "")
        return speak(turn, phrase(turn, "done" if consent else "declined"), notes.settled())
    if notes.waiting == "answer" and notes.runs:
        if consent is False:
            return speak(turn, phrase(turn, "declined"), notes.settled())
        return run(turn.noting(notes.settled()), notes.runs)
    return None


def _go(turn: Turn, runs: list[str], said: str) -> Move:
    said = turn.situation.render(said)
    notes = turn.notes.settled()
    return run(turn.noting(notes), runs, before=said) if runs else speak(turn, said, notes)


def _branch(branches: tuple[Branch, ...], text: str) -> Branch | None:
    """Give the branch whose condition the message means; None when that is not clear."""
    index = closest([branch.condition for branch in branches], text)
    return None if index is None else branches[index]


def after(turn: Turn, result: FunctionResult, told: str) -> Move | None:
    """Go on after a function of the step that stayed in it; None when only a model could."""
    notes = turn.notes
    if notes.runs:
        return run(turn, notes.runs, before=told)
    if result.said:
        return speak(turn, "", notes.settled())
    plan = turn.plan
    if told and plan.at_once and plan.at_once[0].name == result.name and (parameter := _first_parameter(turn, plan)):
        question = turn.situation.render(plan.ask or plan.wants)
        return ask_for(turn, parameter, named(plan.at_once), {}, before=told, question=question)
    if told and plan.waits:
        return entered(turn, told)
    return speak(turn, told, notes.settled()) if told else None


def again(turn: Turn) -> Move | None:
    """Repeat what was asked, but not for ever; None when it must end."""
    notes = turn.notes
    if not notes.question or notes.asked >= MOST_ASKED:
        return None
    asked = notes.settled(
        waiting=notes.waiting,
        question=notes.question,
        runs=notes.runs,
        arguments=notes.arguments,
        parameter=notes.parameter,
        asked=notes.asked + 1,
    )
    return speak(turn, notes.question, asked)


def cannot(step: Step, why: str) -> Finding:
    """Give the finding for a step that cannot be carried out without a language model."""
    text = f"The step `{step.name}` needs a language model: {why}."
    return Finding(rule="needs-model", text=text, file=step.file, line=step.prompt.line)
