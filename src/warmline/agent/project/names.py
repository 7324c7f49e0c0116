"""The names of files and folders, derived from the names inside the files."""

import re


def clean_name(name: str) -> str:
    """Give the file or folder name that belongs to `name` (agent-project.md §1.1).

    Example: `order management flow (V2)` gives `order_management_flow_v2`.
    """
    words = re.sub(r"[^\w\s]", " ", name.lower())
    return re.sub(r"_+", "_", re.sub(r"\s+", "_", words)).strip("_")
