"""Who owns which partition: the pure rules, played by nodes that come, go and freeze."""

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from warmline.ports import PARTITIONS
from warmline.store.leases import Claim, Lease, claim

TTL = 9000


@dataclass
class Cluster:
    """The table `leases`, and what nodes believe."""

    now: int = 1000
    leases: dict[int, Lease] = field(default_factory=lambda: {p: Lease(p) for p in range(PARTITIONS)})
    seen: dict[str, int] = field(default_factory=dict)
    believes: dict[str, Claim] = field(default_factory=dict)

    def claim(self, node: str, incarnation: str = "1") -> Claim:
        """One call of a node, as the store makes it."""
        self.seen[node] = self.now + TTL
        before = self.believes.get(node)
        result = claim(
            self.leases.values(),
            node=node,
            incarnation=incarnation,
            live_nodes=sum(expires > self.now for expires in self.seen.values()),
            now=self.now,
            leaving=before.leaving if before else frozenset(),
        )
        expires = self.now + TTL
        for p in result.renewed:
            self.leases[p] = replace(self.leases[p], expires=expires)
        for p in result.taken:
            self.leases[p] = Lease(p, node, incarnation, expires, self.leases[p].epoch + 1)
        for p in result.freed:
            self.leases[p] = Lease(p, epoch=self.leases[p].epoch)
        self.believes[node] = result
        return result


def test_the_first_node_takes_everything() -> None:
    assert Cluster().claim("a").held == dict.fromkeys(range(PARTITIONS), 1)


def test_three_nodes_come_to_share_evenly() -> None:
    cluster = Cluster()
    for _ in range(8):
        for node in ("a", "b", "c"):
            cluster.claim(node)
        cluster.now += TTL // 3
    held = [cluster.believes[node].held for node in ("a", "b", "c")]
    assert sorted(p for h in held for p in h) == list(range(PARTITIONS))
    assert max(len(h) for h in held) == 22


def test_an_own_lease_that_expired_untouched_keeps_its_epoch() -> None:
    cluster = Cluster()
    first = cluster.claim("a").held
    cluster.now += 10 * TTL
    assert cluster.claim("a").held == first


def test_a_new_incarnation_takes_over_at_once_with_new_epochs() -> None:
    cluster = Cluster()
    cluster.claim("a", "1")
    cluster.believes.clear()
    assert cluster.claim("a", "2").held == dict.fromkeys(range(PARTITIONS), 2)


def test_surplus_leaves_in_two_steps() -> None:
    cluster = Cluster()
    cluster.claim("a")
    cluster.claim("b")
    second = cluster.claim("a")
    assert len(second.held) == len(second.leaving) == PARTITIONS // 2
    assert all(cluster.leases[p].node == "a" for p in second.leaving)
    third = cluster.claim("a")
    assert third.held == second.held
    assert not third.leaving
    assert all(cluster.leases[p].node == "" for p in second.leaving)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, TTL)), max_size=60))
def test_nobody_holds_what_another_holds(calls: list[tuple[str, int]]) -> None:
    cluster = Cluster()
    owners: dict[int, dict[int, str]] = {}
    for node, wait in calls:
        cluster.now += wait
        result = cluster.claim(node)
        for partition, epoch in result.held.items():
            assert cluster.leases[partition] == Lease(partition, node, "1", cluster.now + TTL, epoch)
            assert owners.setdefault(partition, {}).setdefault(epoch, node) == node, "one epoch, one owner"
        share = -(-PARTITIONS // sum(expires > cluster.now for expires in cluster.seen.values()))
        assert len(result.held) <= share
