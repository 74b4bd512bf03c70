#!/bin/sh
# Installs llama.cpp through node-llama-cpp (85 MB, in a temporary folder) and compares everything: about a
# quarter of an hour on two quiet cores. Arguments go to the program, as in: run.sh -shape qwen2.5-0.5b -type Q4_0
set -eu
cd "$(dirname "$0")"
peer=${PEER_DIR:-${TMPDIR:-/tmp}/docent-llm-peer}
mkdir -p "$peer"
[ -d "$peer/node_modules/node-llama-cpp" ] ||
	npm i --prefix "$peer" node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1 --omit=optional --ignore-scripts
cp peer.mjs "$peer/llm-peer.mjs"
[ $# -gt 0 ] || set -- -all
CGO_ENABLED=0 go run . -peer "node $peer/llm-peer.mjs" "$@"
