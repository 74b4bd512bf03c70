#!/usr/bin/env bash
# A real Weaviate cluster of three nodes on loopback, for tests.
#
#   scripts/weaviate.sh start DIR [SECONDS]   starts it with its data in DIR; prints its URL. It ends by
#                                             itself after SECONDS (1800)
#   scripts/weaviate.sh node DIR N            starts node N (1, 2 or 3) again, which was ended
#   scripts/weaviate.sh stop DIR              ends it and removes DIR
#
# DIR/nN/pid holds the process id of node N. The program is $DOCENT_WEAVIATE, else weaviate-server in
# `go env GOPATH`/bin, else it is built there from its Go module, which takes 4 to 10 minutes on 2 cores once
# (it is no dependency of docent, so it is not in go.mod). Its client API listens on 127.0.0.1; the ports by
# which its nodes speak to each other listen where Weaviate puts them.
set -euo pipefail

module=github.com/weaviate/weaviate/cmd/weaviate-server@v1.35.2 # BSD-3-Clause
first_port=17000                                                # of blocks of 50: HTTP on 1 to 3, the others on 10 to 34

fail() {
	echo "weaviate.sh: $*" >&2
	exit 1
}

usage() { fail "usage: weaviate.sh start DIR [SECONDS] | node DIR N | stop DIR"; }

# program prints the path of the server, and builds it where there is none.
program() {
	local home
	home=${DOCENT_WEAVIATE:-$(cd / && go env GOPATH)/bin/weaviate-server}
	if [ ! -x "$home" ]; then
		[ -z "${DOCENT_WEAVIATE:-}" ] || fail "there is no program $DOCENT_WEAVIATE"
		echo "weaviate.sh: building $module, 4 to 10 minutes" >&2
		(cd / && CGO_ENABLED=0 GOFLAGS=-mod=mod go install "$module" >&2) ||
			fail "$module cannot be built here; set DOCENT_WEAVIATE to a weaviate-server"
	fi
	echo "$home"
}

listens() { (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# node starts node $1 and returns when it listens to the others.
node() {
	local i=$1 base server port
	base=$(cat "$dir/base")
	server=$(cat "$dir/server")
	port=$((base + i * 10))
	mkdir -p "$dir/n$i"
	(
		cd "$dir/n$i"
		export PERSISTENCE_DATA_PATH="$dir/n$i" DEFAULT_VECTORIZER_MODULE=none AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=true
		export USE_BLOCKMAX_WAND=false # with it, release 1.35.2 misses most of what was written in the last minute
		export COLLECTION_RETRIEVAL_STRATEGY=LocalOnly # else a write asks the leader, for up to a minute when that is dead
		export DISABLE_TELEMETRY=true GO_PROFILING_DISABLE=true PROMETHEUS_MONITORING_ENABLED=false LIMIT_RESOURCES=false LOG_LEVEL=warning
		export CLUSTER_HOSTNAME="node$i" CLUSTER_IN_LOCALHOST=true CLUSTER_ADVERTISE_ADDR=127.0.0.1 CLUSTER_BIND_ADDR=127.0.0.1
		export CLUSTER_GOSSIP_BIND_PORT=$port CLUSTER_DATA_BIND_PORT=$((port + 1)) RAFT_PORT=$((port + 2))
		export RAFT_INTERNAL_RPC_PORT=$((port + 3)) GRPC_PORT=$((port + 4)) RAFT_BOOTSTRAP_EXPECT=3
		export RAFT_JOIN="node1:$((base + 12)),node2:$((base + 22)),node3:$((base + 32))"
		# A node that comes back joins through whichever other is up.
		for other in 1 2 3; do
			if [ "$other" != "$i" ] && listens $((base + other * 10)); then
				export CLUSTER_JOIN=127.0.0.1:$((base + other * 10))
				break
			fi
		done
		exec "$server" --host 127.0.0.1 --port $((base + i)) --scheme http >>log 2>&1 </dev/null 9>&-
	) &
	echo $! >"$dir/n$i/pid"
	for _ in $(seq 100); do
		listens "$port" && return
		sleep 0.1
	done
	fail "node $i does not start: $(tail -n 3 "$dir/n$i/log")"
}

# end ends node $1, and waits until it has.
end() {
	local pid
	pid=$(cat "$dir/n$1/pid" 2>/dev/null) || return 0
	# Only what node started: the number may be another process's by now.
	[[ $(ps -o args= -p "$pid") = *"--port $(($(cat "$dir/base") + $1)) "* ]] || return 0
	kill -KILL "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

start() {
	[ ! -e "$dir/base" ] || fail "$dir is in use: stop it first"
	local server base found= status
	server=$(program)
	mkdir -p "$dir"
	exec 9>"$server.lock"
	flock 9 # so that two starts do not choose the same ports
	for base in $(seq "$first_port" 50 $((first_port + 950))); do
		found=$base
		for port in $(seq $((base + 1)) $((base + 34))); do
			listens "$port" && found= && break
		done
		[ -z "$found" ] || break
	done
	[ -n "$found" ] || fail "no free ports from $first_port on"
	echo "$found" >"$dir/base"
	echo "$server" >"$dir/server"
	for i in 1 2 3; do node "$i"; done
	exec 9>&-
	(
		exec >/dev/null 2>&1 </dev/null
		for _ in $(seq "$life"); do
			sleep 1
			[ -e "$dir/base" ] || exit 0
		done
		stop
	) &
	for _ in $(seq 300); do
		status=$(curl -fs --max-time 5 "http://127.0.0.1:$((found + 1))/v1/nodes" | grep -o HEALTHY | wc -l) || true
		if [ "$status" = 3 ]; then
			echo "weaviate://127.0.0.1:$((found + 1)),127.0.0.1:$((found + 2)),127.0.0.1:$((found + 3))"
			return
		fi
		sleep 0.2
	done
	fail "only ${status:-0} of 3 nodes became healthy: $(tail -n 3 "$dir"/n*/log)"
}

stop() {
	[ -e "$dir/base" ] || return 0 # not a folder of start
	for i in 1 2 3; do end "$i"; done
	rm -rf "$dir"
}

[ $# -ge 2 ] || usage
dir=$(realpath -m "$2")
life=1800
case $1 in
start)
	life=${3:-$life}
	start
	;;
node)
	[[ ${3:-} = [123] ]] || usage
	end "$3"
	node "$3"
	;;
stop) stop ;;
*) usage ;;
esac
