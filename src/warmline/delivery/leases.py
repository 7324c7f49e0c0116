"""Which partitions of the outbox are this node's, and until when that is certain (design.md §6)."""

from collections.abc import Mapping

from warmline.domain.errors import LeaseLost
from warmline.ports import Clock, Settlement, Store


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

    async def renew(self) -> tuple[set[int], set[int]]:
        """Renew and take; returns (partitions gained, partitions lost). One that came back with a new epoch is both.

        Raises: StoreUnavailable; certainty then runs out by itself.
        """
        asked = self._clock.monotonic()
        epochs = dict(await self._store.claim(self.node, round(self.ttl_s * 1000), self._clock.now()))
        before, self._epochs = self._epochs, epochs
        self._certain_until = asked + self.ttl_s - self._margin_s
        gained = {p for p, epoch in epochs.items() if before.get(p) != epoch}
        lost = {p for p, epoch in before.items() if epochs.get(p) != epoch}
        return gained, lost

    async def release(self) -> None:
        """Give all leases back."""
        self._epochs = {}
        self._certain_until = 0.0
        await self._store.release(self.node)

    @property
    def held(self) -> frozenset[int]:
        """The partitions held as of the last renewal."""
        return frozenset(self._epochs)

    @property
    def certain(self) -> bool:
        """The leases held are certainly still ours."""
        return self._clock.monotonic() < self._certain_until

    def holds(self, partition: int) -> bool:
        """The partition was ours as of the last renewal."""
        return partition in self._epochs

    def epoch(self, partition: int) -> int:
        """The epoch of a partition that is held. Raises LeaseLost when it is not."""
        epoch = self._epochs.get(partition)
        if epoch is None:
            raise LeaseLost
        return epoch

    def check(self, settlement: Settlement) -> None:
        """Raises LeaseLost unless the settlement's partition is certainly still ours in the same epoch."""
        if not self.certain or self._epochs.get(settlement.partition) != settlement.epoch:
            raise LeaseLost
