#!/usr/bin/env bash
# Sees to it that a Chromium of the system is there for the browser tests: installs it as root, else says how.
# The headless shell is the same engine without a browser's own windows, and takes half the processor time.
set -euo pipefail
if command -v chromium-headless-shell >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  printf 'Installing Chromium for the browser tests\n' >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null && exit 0
fi
for name in chromium chromium-browser; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
printf 'The browser tests need Chromium. On Debian: sudo apt install chromium-headless-shell\n' >&2
exit 1
