#!/usr/bin/env bash
# Makes .venv with the locked packages: "runtime" for running Warmline, "dev" for its checks and tests.
# Usage: tools/install.sh runtime|dev [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
set_name=$1
python=${2:-python3}
lock=requirements.lock
[ "$set_name" = runtime ] || lock=requirements-dev.lock

say() { printf '%s\n' "$*" >&2; }

apt_install() {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  say "Warmline needs Python 3.11 or newer ('$python' is not). Set PYTHON=/path/to/python3.11."
  exit 1
}

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  say "Making .venv"
  if ! "$python" -m venv --clear .venv >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      apt_install python3-venv
      "$python" -m venv --clear .venv
    else
      say "Python's venv module is missing. On Debian: sudo apt install python3-venv"
      exit 1
    fi
  fi
fi

say "Installing packages of $lock"
if .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r tools/installer.lock 2>/dev/null; then
  .venv/bin/uv pip install -q --python .venv/bin/python --require-hashes -r "$lock"
  .venv/bin/uv pip install -q --python .venv/bin/python --no-deps -e .
else
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$lock"
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .
fi
touch ".venv/.$set_name"
[ "$set_name" = runtime ] || touch .venv/.runtime
