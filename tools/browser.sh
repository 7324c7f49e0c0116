#!/usr/bin/env bash
# Sees to it that the system's Chromium is there for the browser tests: installs it as root, else says how.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  printf 'Installing Chromium for the browser tests\n' >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
  printf 'The browser tests need Chromium. On Debian: sudo apt install chromium\n' >&2
  exit 1
fi
