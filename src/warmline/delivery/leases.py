"""Which partitions are this node's, and until when that is certain (design.md §6)."""

import math
from collections.abc import Callable, Collection, Mapping

from warmline.domain.errors import LeaseLost, StoreUnavailable
from warmline.ports import PARTITIONS, Clock, Settlement, Store

Changed = Callable[[set[int], set[int]], None]
"""Called with the partitions gained and lost; must not block."""


class Leases:
    """This node's leases. `ttl_s` is how long one lasts without renewal.

    Certainty ends `margin_s` before the lease does, on the monotonic clock and counted from before the store
    was asked: a process that was frozen knows that it must not send before anything else runs.
    """

    def __init__(self, store: Store, clock: Clock, node: str, *, ttl_s: float = 5.0, margin_s: float = 1.0) -> None:
        self._store = store
        self._clock = clock
        self.node = node
        self.ttl_s = ttl_s
        self._margin_s = margin_s
        self._epochs: Mapping[int, int] = {}
        self._certain_until = 0.0
        self.failed_at = -math.inf
        """When the store was last found out of reach, monotonic seconds."""
        self._watchers: list[Changed] = []

    def watch(self, changed: Changed) -> None:
        """Call `changed` whenever partitions were gained or lost, before anything else happens."""
        self._watchers.append(changed)

    async def renew(self) -> tuple[set[int], set[int]]:
        """Renew and take; returns (partitions gained, partitions lost). One that came back with a new epoch is both.

        Raises: StoreUnavailable; certainty then runs out by itself.
        """
        asked = self._clock.monotonic()
        try:
            epochs = dict(await self._store.claim(self.node, round(self.ttl_s * 1000), self._clock.now()))
        except StoreUnavailable:
            self.failed_at = self._clock.monotonic()
            raise
        before, self._epochs = self._epochs, epochs
        self._certain_until = asked + self.ttl_s - self._margin_s
        gained = {p for p, epoch in epochs.items() if before.get(p) != epoch}
        lost = {p for p, epoch in before.items() if epochs.get(p) != epoch}
        if gained or lost:
            self._tell(gained, lost)
        return gained, lost

    async def release(self, *, keep: Collection[int] = ()) -> None:
        """Give all leases back but those of `keep`, which are renewed once more. Raises StoreUnavailable."""
        lost = self._epochs.keys() - set(keep)
        self._epochs = {p: epoch for p, epoch in self._epochs.items() if p in keep}
        self._tell(set(), set(lost))
        asked, until = self._clock.monotonic(), self._clock.now() + round(self.ttl_s * 1000)
        await self._store.release(self.node, keep=self._epochs, until=until)
        self._certain_until = asked + self.ttl_s - self._margin_s if self._epochs else 0.0

    def _tell(self, gained: set[int], lost: set[int]) -> None:
        for watcher in self._watchers:
            watcher(gained, lost)

    @property
    def held(self) -> frozenset[int]:
        """The partitions held as of the last renewal."""
        return frozenset(self._epochs)

    @property
    def certain(self) -> bool:
        """The leases held are certainly still ours."""
        return self._clock.monotonic() < self._certain_until

    @property
    def alone(self) -> bool:
        """All partitions are certainly ours: no other node does what only owners do."""
        return self.certain and len(self._epochs) == PARTITIONS

    def owns(self, partition: int) -> bool:
        """The partition is certainly ours: what is to be done once in the whole cluster is done here."""
        return self.certain and partition in self._epochs

    def holds(self, partition: int) -> bool:
        """The partition was ours as of the last renewal."""
        return partition in self._epochs

    def epoch(self, partition: int) -> int:
        """The epoch of a partition that is held. Raises LeaseLost when it is not."""
        epoch = self._epochs.get(partition)
        if epoch is None:
            raise LeaseLost
        return epoch

    def unchanged(self, partition: int, epoch: int) -> bool:
        """The partition is held as of the last renewal, and was all the time since that epoch began."""
        return self._epochs.get(partition) == epoch

    def check(self, settlement: Settlement) -> None:
        """Raises LeaseLost unless the settlement's partition is certainly still ours in the same epoch."""
        if not self.certain or not self.unchanged(settlement.partition, settlement.epoch):
            raise LeaseLost
