"""Keeping what a project remembers of its customers."""

from typing import Protocol


class CustomerStore(Protocol):
    """Keeps one memory for each customer of each project. `customer` is a phone number or another identity."""

    async def customer_memory(self, project_id: str, customer: str) -> bytes | None:
        """What is remembered of the customer; None for a new one."""
        ...

    async def save_customer_memory(self, project_id: str, customer: str, memory: bytes, at: int) -> None:
        """Insert or replace; `at` is the time in ms since the epoch."""
        ...

    async def forget_customer(self, customer: str) -> int:
        """Remove what every project remembers of the customer; returns of how many projects."""
        ...
