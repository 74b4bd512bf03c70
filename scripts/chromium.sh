#!/usr/bin/env bash
# Prints the path of a Chromium for the browser tests: $CHROMIUM, one on the PATH, or Debian's
# package, installed when this runs as root. Otherwise it says what to install.
set -euo pipefail

if [ -n "${CHROMIUM:-}" ]; then
	echo "$CHROMIUM"
	exit
fi
find_chromium() {
	for name in chromium chromium-browser google-chrome google-chrome-stable; do
		command -v "$name" && return
	done
	return 1
}
find_chromium && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing Debian's chromium for the browser tests" >&2
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-noto-cjk; } >&2
	find_chromium && exit
fi
echo "the browser tests need Chromium: install it (Debian: apt-get install chromium fonts-noto-cjk) or set CHROMIUM to its path" >&2
exit 1
