"""Where the agent projects of an installation lie."""

from pathlib import Path

import yaml

from warmline.domain.errors import ConfigError


def find_projects(path: Path) -> dict[str, Path]:
    """The agent projects at `path`: one folder with a `project.yaml`, or a folder of such folders.

    Returns folders by project id. Raises ConfigError when there is none, or two share an id.
    """
    folders = [path] if (path / "project.yaml").is_file() else sorted(f.parent for f in path.glob("*/project.yaml"))
    found: dict[str, Path] = {}
    for folder in folders:
        project_id = _project_id(folder)
        if project_id in found:
            raise ConfigError("WARMLINE_PROJECTS", f"two projects have the id {project_id}")
        found[project_id] = folder
    if not found:
        raise ConfigError("WARMLINE_PROJECTS", "no project.yaml there or one folder below")
    return found


def _project_id(folder: Path) -> str:
    try:
        data = yaml.safe_load((folder / "project.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return folder.name
    return str(data["project_id"]) if isinstance(data, dict) and data.get("project_id") else folder.name
