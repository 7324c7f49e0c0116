"""What an address names; where it names nothing, the answer is that there is no such page."""

from collections.abc import Iterable
from typing import TypeVar

from aiohttp import web

from warmline.agent.turn.engine import ProjectEngine
from warmline.studio.deps import StudioDeps
from warmline.studio.pages import PROJECT

T = TypeVar("T")


def first(found: Iterable[T]) -> T:
    """The first of what was found. Raises HTTPNotFound when there is none."""
    for one in found:
        return one
    raise web.HTTPNotFound


def engine_of(deps: StudioDeps, request: web.Request) -> ProjectEngine:
    """The engine of the request's project. Raises HTTPNotFound when the visitor sees no project."""
    engine = deps.engines.get(request[PROJECT])
    if engine is None:
        raise web.HTTPNotFound
    return engine
