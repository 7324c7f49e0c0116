"""Warmline: conversational agents that hand over to a human, and lose nothing on the way."""

__version__ = "0.1.0"
