"""Safety filters: what an agent must not be told and must not say (agent-project.md §2.8)."""
