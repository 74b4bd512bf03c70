#!/usr/bin/env bash
# usage: make-store.sh DOCENT OUT.tar.gz        makes a small store with the docent binary of an earlier commit,
#        make-store.sh DOCENT OUT.sql.gz URL    in the empty database of that URL; pg_dump is in the PATH.
# Build one in a worktree of the commit: CGO_ENABLED=0 go build -o DOCENT ./cmd/docent
set -euo pipefail
docent=$(realpath "$1"); out=$(realpath -m "$2"); url=${3:-}
[ -z "$url" ] || export DOCENT_STORE=$url
dir=$(mktemp -d); trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
cat > leave.md <<'EOF'
# Leave

Every employee has 25 days of paid leave a year. Days that are not taken by the end of March are lost.

## Parental leave

Parents take up to sixteen weeks at full pay. Tell the people team eight weeks before it begins.
EOF
cat > pumps.txt <<'EOF'
The bilge pump is serviced every ninety days. Order code PX-4471 is the gasket that it needs.
Never run the pump dry: the impeller melts within a minute.
EOF
cat > returns-zh.md <<'EOF'
# 退货政策

客户可以在三十天内退货。退款在五个工作日内到账。
EOF
cp leave.md copy-of-leave.md
echo '%PDF-1.4 broken' > broken.pdf
port=18497; api=http://127.0.0.1:$port/api
"$docent" --data "$dir/store" serve --addr 127.0.0.1:$port > serve.log 2>&1 & server=$!
until curl -sf "$api/health" > /dev/null; do sleep .1; done
curl -sf -X POST "$api/collections" -H 'content-type: application/json' -d '{"name":"handbook"}' > /dev/null
curl -sf -X POST "$api/collections" -H 'content-type: application/json' -d '{"name":"empty"}' > /dev/null
for f in leave.md pumps.txt returns-zh.md copy-of-leave.md broken.pdf; do
	curl -sf -X POST "$api/collections/handbook/documents" -F "file=@$f" > /dev/null
done
until [ "$(curl -sf "$api/collections/handbook/jobs" | grep -o '"state":"\(done\|failed\)"' | wc -l)" = 5 ]; do sleep .1; done
# Builds that have settings of collections keep one.
curl -s -X PATCH "$api/collections/handbook/settings" -H 'content-type: application/json' -d '{"private":{"email":"mask"}}' > /dev/null || true
curl -sf -X POST "$api/ask" -H 'content-type: application/json' -d '{"collection":"handbook","question":"How many days of paid leave are there?","stream":false}' > /dev/null
kill "$server"; wait "$server" || true
if [ -n "$url" ]; then
	# As plain statements, without psql's own commands and what only Postgres 17 knows.
	pg_dump --inserts --rows-per-insert=100 --no-owner --no-privileges "$url" | grep -v -e '^\\' -e '^SET transaction_timeout' | gzip -9n > "$out"
	ls -l "$out"
	exit
fi
rm -f store/lock
tar -C store --sort=name --owner=0 --group=0 --numeric-owner --mtime=2026-01-01 -c . | gzip -9n > "$out"
ls -l "$out"
