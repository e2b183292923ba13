#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Load and abuse: `load.sh URL PID SECONDS`. 64 connections ask for every route, while four CPU
# windows overlap, clients send half a request and stay, and others leave midway. Allowed are 200,
# 503 if too many windows are open, and 404 for trace. The program's memory must not grow with it.
set -euo pipefail
url="$1"
pid="$2"
seconds="$3"
work="$(mktemp -d)"
trap 'rm -rf "$work"; kill $(jobs -p) 2>/dev/null || true' EXIT
fail() { echo "FAILED: $*"; exit 1; }
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"; }
descriptors() { find "/proc/$pid/fd" -mindepth 1 | wc -l; }
open_windows() { curl --silent --fail "$url?format=json" | sed -n 's/^"windows":{"open":\([0-9]*\),.*/\1/p'; }
windows_are() { [ "$(open_windows)" = "$1" ]; }
crowd_has_left() { [ "$(descriptors)" -lt $((quiet + 8)) ]; }
# until_true COMMAND...: waits until the command succeeds, 10 s at most.
until_true() {
  for _ in $(seq 100); do
    if "$@"; then return; fi
    sleep 0.1
  done
  fail "$*: not with $(open_windows) windows and $(descriptors) descriptors, $quiet of which were there before"
}

cat >"$work/routes.lua" <<'LUA'
local base, ask = wrk.path, 0
local routes = { "", "heap", "allocs", "block", "mutex", "mutex_hold", "goroutine", "threadcreate",
  "goroutine?debug=1", "goroutine?debug=2", "heap?debug=1", "heap?format=json", "heap?format=folded",
  "heap?symbolize=0", "heap?inline=expand", "delta_heap", "delta_block", "delta_mutex", "cmdline",
  "symbol?0x401000", "ui", "indexer.files", "indexer.shards", "?format=json", "block?seconds=1",
  "profile?seconds=1", "wall?seconds=1", "../fgprof?seconds=1", "trace" }
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() ok, busy, missing, other, traces = 0, 0, 0, 0, 0 end
function request()
  ask = ask + 1
  local route = routes[ask % #routes + 1]
  if route == "trace" then traces = traces + 1 end
  if route:sub(1, 3) == "../" then return wrk.format(nil, base:gsub("[^/]+/$", "") .. route:sub(4)) end
  return wrk.format(nil, base .. route)
end
function response(status)
  if status == 200 then ok = ok + 1 elseif status == 503 then busy = busy + 1
  elseif status == 404 then missing = missing + 1 else other = other + 1 end
end
function done(summary)
  local ok, busy, missing, other, traces = 0, 0, 0, 0, 0
  for _, t in ipairs(threads) do
    ok, busy, other = ok + t:get("ok"), busy + t:get("busy"), other + t:get("other")
    missing, traces = missing + t:get("missing"), traces + t:get("traces")
  end
  if missing == 0 or missing > traces then other = other + missing end
  local e = summary.errors
  io.write(string.format("answers %d busy %d other %d connect %d read %d write %d timeout %d\n",
    ok, busy, other, e.connect, e.read, e.write, e.timeout))
end
LUA

host="${url#http://}"
host="${host%%/*}"
quiet="$(descriptors)"
for _ in 1 2 3; do wrk -t1 -c64 -d1s --timeout 20s -s "$work/routes.lua" "$url" >/dev/null; done  # warm
until_true crowd_has_left
until_true windows_are 0
before="$(resident)"
for i in 1 2 3 4; do
  curl --silent --fail --max-time $((seconds + 60)) "${url}profile?seconds=$seconds&hz=$((i * 50))" -o "$work/cpu$i" &
  windows[i]=$!
done
until_true windows_are 4  # before the crowd takes all there are
for _ in 1 2 3 4 5 6 7 8; do  # half a request, and then silence
  (exec 3<>"/dev/tcp/${host%%:*}/${host##*:}"; printf 'GET /debug/pprof/heap HTTP/1.1\r\nHo' >&3; sleep "$seconds") &
done
for _ in 1 2 3 4; do  # away before the window ends
  (curl --silent --max-time 1 "${url}wall?seconds=60" -o /dev/null || true) &
done
wrk -t2 -c64 -d"${seconds}s" --timeout 20s -s "$work/routes.lua" "$url" | tee "$work/out"
for i in 1 2 3 4; do wait "${windows[i]}" || fail "CPU window $i: status $?"; done
for i in 1 2 3 4; do go tool pprof -raw "$work/cpu$i" >/dev/null 2>&1 || fail "CPU window $i is no profile"; done

read -r _ answers _ busy _ other _ connect _ read _ write _ timeout < <(grep ^answers "$work/out")
[ "$answers" -gt 100 ] || fail "only $answers answers"
[ $((other + connect + read + write + timeout)) -eq 0 ] || fail "errors"
until_true crowd_has_left
after="$(resident)"
[ "$after" -lt $((before * 3 / 2 + 65536)) ] || fail "memory grew from $before to $after kB"
echo "load: $answers answers and $busy times busy in $seconds s, memory $before -> $after kB, passed"
