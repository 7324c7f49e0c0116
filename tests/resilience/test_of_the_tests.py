"""Whoever breaks a promise is told by a test: each promise is broken on purpose, and its test must fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from warmline.testing.breaks import BREAKS, VARIABLE

ROOT = Path(__file__).resolve().parents[2]

GUARDS = {
    "inbox-unique": "tests/contract/store/test_store_delivery.py::test_a_webhook_is_stored_once[sqlite]",
    "lease-check": "tests/contract/delivery/test_leases.py::test_a_frozen_node_knows_that_it_may_not_send",
    "echo-after-commit": "tests/resilience/test_echo_after_commit.py",
    "one-in-flight": "tests/unit/test_streams.py::test_oldest_first_one_in_flight_and_streams_side_by_side",
    "transport-key": (
        "tests/wire/test_webex_webhooks.py::"
        "test_the_same_delivery_has_the_same_transport_key_and_every_other_one_another"
    ),
}


def run(test: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plugins = ["-p", "warmline.testing.breaks"] if environment else []
    command = [sys.executable, "-m", "pytest", *plugins, "-q", "-x", "-p", "no:cacheprovider", test]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=250
    )


def test_each_break_has_a_test_that_should_notice() -> None:
    assert set(GUARDS) == set(BREAKS)


@pytest.mark.parametrize("promise", sorted(GUARDS))
def test_a_broken_promise_makes_its_test_fail(promise: str) -> None:
    done = run(GUARDS[promise], **{VARIABLE: promise})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    # It failed for what it asserts, not for a part that is not there any more.
    assert "AssertionError" in done.stdout or "Failed: DID NOT RAISE" in done.stdout, done.stdout
