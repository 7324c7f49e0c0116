"""What an installation provides to running functions; implements the protocols of `warmline.agent.turn.services`."""
