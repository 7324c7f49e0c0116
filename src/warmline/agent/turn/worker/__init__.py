"""The process in which a project's functions run. Started as `python -m warmline.agent.turn.worker`."""
