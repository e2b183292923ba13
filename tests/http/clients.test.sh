#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Serves the indexer of a build, and has people, collectors, browsers and a crowd ask it:
# `clients.test.sh BUILD`. The crowd stays WHENCE_LOAD_SECONDS, 6 by default, 300 at most.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
build="$(cd "$1" && pwd)"
work="$build/tests/http_clients"
rm -rf "$work"
mkdir -p "$work"
export GOCACHE="$build/tests/gocache" HOME="${HOME:-$work}"
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true' EXIT

# serve LOG COMMAND...: the address that the command prints first.
serve() {
  local log="$1"
  shift
  "$@" >"$log" 2>&1 &
  servers+=($!)
  for _ in $(seq 300); do
    grep -q '^http://' "$log" && break
    kill -0 "${servers[-1]}" 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.1
  done
}

# One arena: glibc's malloc keeps one for each of many threads, which is not our memory.
serve "$work/indexer.log" env MALLOC_ARENA_MAX=1 "$build/examples/indexer" /usr/include "$work" 0
ours="$(sed -n 's|^\(http://.*/debug/pprof/\)ui$|\1|p' "$work/indexer.log")"
go build -o "$work/go_server" "$here/go_server.go"
serve "$work/go.log" "$work/go_server"
for _ in $(seq 600); do grep -q ' words in ' "$work/indexer.log" && break; sleep 0.1; done

bash "$here/session.sh" "$ours" "$work/session"
node "$here/fleet.mjs" "$ours"
node "$here/like_go.mjs" "$(head -n 1 "$work/go.log")" "$ours"
kill "${servers[1]}"
node "$here/page.mjs" "$ours" "$work/page" "$work"
node "$here/speedscope.mjs" "$ours" "$work/speedscope"
bash "$here/load.sh" "$ours" "${servers[0]}" "${WHENCE_LOAD_SECONDS:-6}"
kill -0 "${servers[0]}" || { echo "FAILED: the server has ended"; exit 1; }
