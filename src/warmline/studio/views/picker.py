"""What a topic's actions can bring about, to be picked instead of typed (agent-project.md §3)."""

from dataclasses import dataclass

from warmline.agent.project.model import Project


@dataclass(frozen=True, slots=True)
class Choice:
    """A reference and what it does. `group` is a key below `picker.` in the texts."""

    group: str
    reference: str
    name: str
    note: str = ""


def choices(project: Project) -> dict[str, list[Choice]]:
    """Give what can be inserted, by group; functions that hand over or enter a flow come under what they do."""
    modules = {module.file: module for module in project.modules}
    found: list[Choice] = []
    for name, function in sorted(project.functions.items()):
        module = modules.get(function.file)
        flows = sorted({flow for flow, _ in module.flows_entered}) if module else []
        group = "handoffs" if module and module.handoff_keys else "flows" if flows else "functions"
        shown = ", ".join(flows) if group == "flows" else function.description
        found.append(Choice(group, f"{{{{fn:{name}}}}}", name, shown))
    for name, handoff in sorted(project.handoffs.items()):
        found.append(Choice("handoffs", f"{{{{ho:{name}}}}}", name, handoff.description))
    for name, template in sorted(project.sms_templates.items()):
        found.append(Choice("sms", f"{{{{twilio_sms:{name}}}}}", name, template.text.value))
    groups = ("functions", "handoffs", "flows", "sms")
    return {group: [one for one in found if one.group == group] for group in groups}
