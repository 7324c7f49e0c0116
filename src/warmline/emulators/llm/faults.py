"""Faults on purpose: what a real endpoint does on a bad day.

A fault is `{"endpoint": "chat" | "models" | "moderations" | "*", "effect": {…}, "times": 2}`; without `times` it
stays until it is removed. Effects:

`status` (with `retry_after`, seconds) refuses with that error · `drop` cuts the connection without an answer ·
`delay_ms` waits before the first byte · `stall_after` (pieces) waits `stall_ms` in the middle of a streamed answer ·
`cut_after` (pieces) resets the connection in the middle of one · `garbage` answers what is no completion, and streams
what is no event · `bad_arguments` makes the arguments of tool calls no JSON · `unknown_tool` calls a tool that was not
offered ·
`loop` calls the first tool offered, whatever was asked · `huge` answers with that many characters.
"""

import itertools
from typing import Any, Literal

import msgspec

Endpoint = Literal["chat", "models", "moderations", "*"]


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What goes wrong; see the module's text."""

    status: int | None = None
    retry_after: float | None = None
    drop: bool = False
    delay_ms: int = 0
    stall_after: int | None = None
    stall_ms: int = 600_000
    cut_after: int | None = None
    garbage: bool = False
    bad_arguments: bool = False
    unknown_tool: bool = False
    loop: bool = False
    huge: int = 0


class FaultRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /__sim/v1/faults`."""

    effect: Effect
    endpoint: Endpoint = "chat"
    times: int | None = None


class Fault:
    """An installed fault and how often it applied."""

    __slots__ = ("applied", "id", "request")

    def __init__(self, fault_id: str, request: FaultRequest) -> None:
        self.id = fault_id
        self.request = request
        self.applied = 0

    def view(self) -> dict[str, Any]:
        """Return the fault as the control plane shows it."""
        request = self.request
        return {
            "id": self.id,
            "endpoint": request.endpoint,
            "effect": request.effect,
            "times": request.times,
            "applied": self.applied,
        }


class Faults:
    """The installed faults; the first one that matches applies."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._numbers = itertools.count(1)

    def add(self, request: FaultRequest) -> Fault:
        """Install a fault."""
        fault = Fault(f"fault-{next(self._numbers)}", request)
        self._faults[fault.id] = fault
        return fault

    def all(self) -> list[Fault]:
        """Return the installed faults, oldest first."""
        return list(self._faults.values())

    def remove(self, fault_id: str) -> bool:
        """Remove one; False when there is none of that id."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Remove all."""
        self._faults.clear()

    def take(self, endpoint: str) -> Effect:
        """Return what happens to a request, and count it; an effect without effect when nothing does."""
        for fault in self._faults.values():
            request = fault.request
            spent = request.times is not None and fault.applied >= request.times
            if request.endpoint in ("*", endpoint) and not spent:
                fault.applied += 1
                return request.effect
        return Effect()
