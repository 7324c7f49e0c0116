"""Who owns which partition of the outbox. Pure: rows of the table `leases` in, rows to write out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from warmline.ports import PARTITIONS


@dataclass(frozen=True, slots=True)
class Lease:
    """A row of the table. `node` "" means free; `epoch` grows with every change of the owner."""

    partition: int
    node: str = ""
    incarnation: str = ""
    expires: int = 0
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """`held` maps partitions to epochs; `changed` are rows to write; `leaving` is for the next call."""

    held: Mapping[int, int]
    changed: tuple[Lease, ...]
    leaving: frozenset[int] = field(default_factory=frozenset)


def claim(
    leases: Iterable[Lease],
    *,
    node: str,
    incarnation: str,
    live_nodes: int,
    now: int,
    ttl_ms: int,
    leaving: frozenset[int] = frozenset(),
) -> Claim:
    """Renew the node's leases, take free ones up to its share, give back what is above it.

    A lease is this node's only under its `incarnation`: a restarted process takes its predecessor's leases at
    once, with new epochs, so that a predecessor that is not quite dead is fenced. Surplus partitions are given
    back in two steps: left out of `held` first, so that what is under way can still be settled, and freed in
    the next call, which must be told of them as `leaving`.
    """
    share = -(-PARTITIONS // max(live_nodes, 1))
    mine: list[Lease] = []
    free: list[Lease] = []
    changed: list[Lease] = []
    for lease in leases:
        if lease.node == node and lease.incarnation == incarnation:
            if lease.partition in leaving:
                changed.append(Lease(partition=lease.partition, epoch=lease.epoch))
            else:
                mine.append(lease)
        elif not lease.node or lease.node == node or lease.expires <= now:
            free.append(lease)

    surplus = frozenset(lease.partition for lease in mine[share:])
    kept = [replace(lease, expires=now + ttl_ms) for lease in mine[:share]]
    taken = [
        Lease(lease.partition, node, incarnation, now + ttl_ms, lease.epoch + 1)
        for lease in free[: max(share - len(mine), 0)]
    ]
    held = [*kept, *taken]
    return Claim({lease.partition: lease.epoch for lease in held}, (*held, *changed), surplus)
