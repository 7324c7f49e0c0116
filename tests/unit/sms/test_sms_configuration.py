"""`sms/configuration.yaml`: sentences, inactivity, single numbers; mistakes are named."""

from pathlib import Path

import pytest

from warmline.channels.sms.configuration import Configurations, Rules, read_rules
from warmline.domain.errors import ConfigError

NUMBER = "+14155550199"


def write(project: Path, text: str) -> Path:
    (project / "sms").mkdir()
    (project / "sms" / "configuration.yaml").write_text(text, encoding="utf-8")
    return project


def test_without_a_file_the_defaults_count(tmp_path: Path) -> None:
    assert read_rules(tmp_path, NUMBER) == Rules()


def test_a_number_may_have_its_own_rules(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        """
greeting: {welcome_message: Hi}
sentences: {queued: "", joined: "{name} is here."}
inactivity: {after_hours: 2, grace_minutes: 5}
numbers:
  "+14155550199":
    sentences: {joined: "It is {name}."}
    inactivity: {after_hours: 0.5}
""",
    )
    own = read_rules(project, NUMBER)
    assert own == Rules(sentences={"queued": "", "joined": "It is {name}."}, silence_ms=1_800_000, grace_ms=300_000)
    assert read_rules(project, "+1999").sentences["joined"] == "{name} is here."


def test_a_number_without_quotes_is_that_number(tmp_path: Path) -> None:
    project = write(tmp_path, f"numbers:\n  {NUMBER}:\n    sentences: {{ended: Bye}}\n")
    assert read_rules(project, NUMBER).sentences == {"ended": "Bye"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sentences: {greeting: Hi}", "sentences: greeting"),
        ("sentences: [a]", "sentences"),
        ("inactivity: {after_hours: soon}", "inactivity: after_hours"),
        ("inactivity: {grace_minutes: 0}", "inactivity: grace_minutes"),
        ('numbers: {"+14155550199": {sentences: {stopped: 3}}}', "sentences: stopped"),
        ("a: [", "sms/configuration.yaml"),
        ("- a", "sms/configuration.yaml"),
    ],
)
def test_a_mistake_is_named_and_counts_as_no_rules(tmp_path: Path, text: str, key: str) -> None:
    project = write(tmp_path, text)
    with pytest.raises(ConfigError, match=key) as raised:
        read_rules(project, NUMBER)
    assert "sms/configuration.yaml" in raised.value.key
    assert Configurations({"p": project}).rules("p", NUMBER) == Rules()
