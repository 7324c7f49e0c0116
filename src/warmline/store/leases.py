"""Who owns which partition of the outbox. Pure: rows of the table `leases` in, rows to write out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
    """What a node may count on, and what to write: partitions to renew, to take (epoch + 1), to free."""

    held: Mapping[int, int]
    """{partition: epoch}"""
    renewed: tuple[int, ...]
    taken: tuple[int, ...]
    freed: tuple[int, ...]
    leaving: frozenset[int]
    """For the next call."""


def claim(
    leases: Iterable[Lease], *, node: str, incarnation: str, live_nodes: int, now: int, leaving: frozenset[int]
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
    freed: list[int] = []
    for lease in leases:
        if lease.node == node and lease.incarnation == incarnation:
            if lease.partition in leaving:
                freed.append(lease.partition)
            else:
                mine.append(lease)
        elif not lease.node or lease.node == node or lease.expires <= now:
            free.append(lease)

    kept, surplus = mine[:share], mine[share:]
    taken = free[: share - len(kept)]
    return Claim(
        held={lease.partition: lease.epoch for lease in kept} | {lease.partition: lease.epoch + 1 for lease in taken},
        renewed=tuple(lease.partition for lease in kept),
        taken=tuple(lease.partition for lease in taken),
        freed=tuple(freed),
        leaving=frozenset(lease.partition for lease in surplus),
    )
