"""Topics are found as the project's settings ask (agent-project.md §8.2.2 and §10; its checks 38 and 39)."""

import json
from pathlib import Path

import pytest

from support.agent_projects import LUMEN, topic_file, write_project
from support.flow_projects import flow_file, step_file
from warmline.agent.brains.llm.retrieval import Knowledge
from warmline.agent.brains.topics.brain import TopicsBrain
from warmline.agent.brains.topics.retrieval import Retriever
from warmline.agent.project.experimental import RetrievalSettings, retrieval_settings
from warmline.agent.project.loader import load_project
from warmline.agent.turn.brain import Position, Situation, Speak
from warmline.domain.turn import HistoryItem

PARKING = {
    "topics/parking.yaml": topic_file(
        "parking", "where can I park|is there a car park|parking for my car", content="Behind."
    ),
    "topics/opening.yaml": topic_file("opening", "when do you open|opening hours|are you open today", content="At 9."),
    "topics/menu.yaml": topic_file("menu", "what is on the menu|do you have pizza|vegan dishes", content="Pizza."),
    "topics/booking.yaml": topic_file("booking", "book a table|reserve a table for four", content="Call us."),
}


def settings(**ragdoll: object) -> dict[str, str]:
    return {"agent_settings/experimental_config.json": json.dumps({"ragdoll": ragdoll})}


def retriever(root: Path, files: dict[str, str]) -> Retriever:
    return Retriever(load_project(write_project(root, files)))


def names(found: object) -> list[str]:
    return [one.topic.name for one in found]  # type: ignore[attr-defined]


async def said(root: Path, files: dict[str, str], text: str, **more: object) -> str:
    """Give what the `topics` brain says to `text`."""
    project = load_project(write_project(root, files))
    situation = Situation(
        project=project,
        text=text,
        channel="webchat.polyai",
        language="en-GB",
        memory={},
        **more,  # type: ignore[arg-type]
    )
    move = await TopicsBrain(project).next_move(situation)
    assert isinstance(move, Speak)
    return move.text


def test_a_distance_says_how_sure_it_is(tmp_path: Path) -> None:
    found = retriever(tmp_path, PARKING)
    (best, *_) = found.find(["where can I park"])
    assert (best.topic.name, best.distance, best.exact) == ("parking", 0.0, True)
    near = found.find(["is there parking for the car"])[0]
    assert (near.topic.name, near.exact) == ("parking", False)
    assert 0 < near.distance < 0.4
    assert found.find(["the weather in Peru"])[0].distance > 0.4
    edge = found.router.threshold
    distances = [found.distance(p) for p in (1.0, 0.9, edge, edge / 2, 0.0)]
    assert distances == sorted(distances)
    assert distances[0] == 0.0
    assert distances[2] == pytest.approx(0.4)
    assert distances[-1] == pytest.approx(1.0)


def test_the_settings_of_the_format(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, settings(top_k=2, threshold="high", qa_metric_exclusions=["a", 1])))
    assert retrieval_settings(project) == RetrievalSettings(top_k=2, qa_exclusions=frozenset({"a"}))
    assert retrieval_settings(load_project(LUMEN)) == RetrievalSettings()


def test_C39_top_k_bounds_how_many_topics_count(tmp_path: Path) -> None:
    assert len(retriever(tmp_path, PARKING).find(["park"])) == 4
    assert len(retriever(tmp_path, {**PARKING, **settings(top_k=2)}).find(["park"])) == 2
    assert retriever(tmp_path, {**PARKING, **settings(top_k=0)}).find(["park"]) == ()


async def test_C39_the_threshold_decides_what_is_known(tmp_path: Path) -> None:
    text = "is there parking for the car"
    assert await said(tmp_path, PARKING, text) == "Behind."
    strict = {**PARKING, **settings(threshold=0.01)}
    assert (await said(tmp_path, strict, text)).startswith("I'm sorry, I don't know")
    assert await said(tmp_path, strict, "where can I park") == "Behind."
    lenient = {**PARKING, **settings(threshold=1)}
    assert not (await said(tmp_path, lenient, "the weather in Peru")).startswith("I'm sorry, I don't know")


async def test_C39_earlier_messages_count_where_the_project_wants_it(tmp_path: Path) -> None:
    text, history = "on sundays too?", (HistoryItem(role="user", text="are you open today"),)
    assert (await said(tmp_path, PARKING, text, history=history)).startswith("I'm sorry, I don't know")
    files = {**PARKING, **settings(previous_user_inputs_len=2)}
    assert await said(tmp_path, files, text, history=history) == "At 9."


def test_C39_inside_flows_another_distance_counts(tmp_path: Path) -> None:
    flow = {
        "flows/order/flow_config.yaml": flow_file("order", "Ask"),
        "flows/order/steps/ask.yaml": step_file("Ask", "Ask."),
    }

    def known(inside: bool, **ragdoll: object) -> list[str]:
        project = load_project(write_project(tmp_path, {**PARKING, **flow, **settings(**ragdoll)}))
        at = Position(project.flows[0], project.flows[0].steps[0]) if inside else None
        near = Situation(
            project=project,
            text="is there parking for the car",
            channel="webchat.polyai",
            language="en-GB",
            memory={},
            position=at,
        )
        return names(Knowledge(project).find(near))

    assert (known(False), known(True)) == (["parking"], ["parking"])
    assert (known(False, in_flow_threshold=0.01), known(True, in_flow_threshold=0.01)) == (["parking"], [])
    assert (known(False, threshold=0.01), known(True, threshold=0.01)) == ([], [])
    wide = {"threshold": 0.01, "in_flow_threshold": 0.4}
    assert (known(False, **wide), known(True, **wide)) == ([], ["parking"])


def test_C38_topics_are_left_out(tmp_path: Path) -> None:
    off = {"topics/parking.yaml": PARKING["topics/parking.yaml"] + "enabled: false\n"}
    assert "parking" not in names(retriever(tmp_path / "off", {**PARKING, **off}).find(["where can I park"]))
    found = retriever(tmp_path / "on", {**PARKING, **settings(channel_topic_exclusions={"sms.polyai": ["parking"]})})
    assert names(found.find(["where can I park"], channel="webchat.polyai"))[0] == "parking"
    assert "parking" not in names(found.find(["where can I park"], channel="sms.twilio"))
    assert "parking" not in names(found.find(["where can I park"], disabled=frozenset({"parking"})))


def test_a_variants_own_topics_take_the_place_of_general_ones(tmp_path: Path) -> None:
    found = retriever(
        tmp_path,
        {
            **PARKING,
            "config/variant_attributes.yaml": "variants: [{name: North, is_default: true}, {name: South}]\n",
            "child_topics/north/parking.yaml": topic_file("parking", "where can I park|north gate", content="North."),
            "child_topics/north/gate.yaml": topic_file("gate", "which gate is it", content="Gate 4."),
        },
    )
    assert found.find(["where can I park"], variant="North")[0].topic.content.value == "North."
    assert found.find(["where can I park"], variant="South")[0].topic.content.value == "Behind."
    assert found.find(["which gate is it"], variant="North")[0].topic.name == "gate"
    assert "gate" not in names(found.find(["which gate is it"], variant="South"))
