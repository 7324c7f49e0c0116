"""What the checker says of a file that is open in the source editor."""

from warmline.agent.project.drafts import check_text
from warmline.agent.project.model import Problem, Severity
from warmline.agent.turn.engine import ProjectEngine


def problems_of(engine: ProjectEngine, file: str, text: str) -> list[Problem]:
    """Give what is wrong with a text in the place of the file, the worst of a line first."""
    return sorted(check_text(engine.project, file, text), key=lambda p: (p.line, p.severity is not Severity.ERROR))


def import_problems(engine: ProjectEngine, file: str) -> list[Problem]:
    """Give why the file as saved could not be imported by the engine's workers; only running it shows that."""
    return [
        Problem(rule=found.rule, text=found.text, file=found.file, line=found.line)
        for found in engine.findings
        if found.rule == "import-failed" and found.file == file
    ]
