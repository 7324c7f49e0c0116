"""How the functions of projects run, and what they may use."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How functions run.

    `size` workers are meant to be free for short calls; while calls take long there may be up to `most`.
    `limit_s` is what one call may take, `wait_s` how long a call waits for a free worker, in seconds. `memory_mb`
    limits each process, `state_kb` a session's state, `output_kb` what one call returns, `asks` how often the
    functions of one turn may ask something of the server.
    """

    size: int = 2 * max(2, os.cpu_count() or 2)
    most: int = 64
    limit_s: float = 10.0
    wait_s: float = 10.0
    memory_mb: int = 1024
    state_kb: int = 1024
    output_kb: int = 1024
    asks: int = 10
