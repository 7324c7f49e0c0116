"""Every numbered check of the specifications has a test, or a reason for having none, and the documents say so."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "checks.py"


def test_every_check_has_its_place_and_the_documents_are_current() -> None:
    done = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
