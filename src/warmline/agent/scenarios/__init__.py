"""The conversations in a project's `test_suite/`: read, played and judged (agent-project.md §2.23)."""
