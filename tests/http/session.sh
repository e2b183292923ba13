#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Types the commands of a person who looks at a running program: `session.sh URL FOLDER`, where URL
# is /debug/pprof/ of the indexer. `go tool pprof` must succeed without warnings, and show the
# indexer's own functions.
set -euo pipefail
url="$1"
work="$2"
mkdir -p "$work"
export PPROF_TMPDIR="$work/saved" HOME="${HOME:-$work}" GOFLAGS=
checks=0
fail() { echo "FAILED: $*"; exit 1; }
ok() { checks=$((checks + 1)); echo "ok $checks $*"; }

get() { curl --silent --show-error --fail --max-time 60 "$@"; }
pprof() {
  go tool pprof "$@" >"$work/out" 2>"$work/err" || { cat "$work/err"; fail "go tool pprof $*"; }
  if grep -Ev '^(Fetching profile|Saved profile|Generating report|Please wait)' "$work/err"; then
    fail "go tool pprof $*: a warning"
  fi
}
shows() { grep -Eq -- "$1" "$work/out" || { head -30 "$work/out"; fail "no /$1/ in: $2"; }; ok "$2"; }

get "${url}heap" -o "$work/heap.pb.gz"
pprof -top "$work/heap.pb.gz"
shows 'indexer::work' 'curl .../heap, go tool pprof -top'
get "${url}goroutine?debug=1" >"$work/out"
shows '^goroutine profile: total [0-9]+$' 'goroutine?debug=1'
get "${url}goroutine?debug=2" >"$work/out"
shows '^goroutine [0-9]+ \[' 'goroutine?debug=2'
shows '	.*indexer\.cpp:[0-9]+ \+0x' 'goroutine?debug=2: file and line'
get "${url}profile?seconds=1" -o "$work/cpu.pb.gz"
pprof -top "$work/cpu.pb.gz"
shows 'indexer::(work|add)' 'profile?seconds=1'

pprof -top -inuse_space "${url}heap"
shows '^Type: inuse_space' 'go tool pprof -inuse_space URL'
pprof -top -alloc_space -base "$work/heap.pb.gz" "${url}heap"
shows 'indexer::add' 'go tool pprof -alloc_space -base'
for name in allocs block mutex goroutine threadcreate indexer.files indexer.shards; do
  pprof -top "$url$name"
  shows '^Showing nodes|^Type:' "go tool pprof URL: $name"
done
for name in profile wall; do
  pprof -top -seconds 1 "$url$name"
  shows 'indexer::work' "go tool pprof -seconds 1 URL: $name"
done
pprof -top -seconds 1 "${url}heap"
shows '^Duration: ' 'go tool pprof -seconds 1 URL: heap'
pprof -svg "${url}heap"
shows '</svg>' "the graph that 'web' shows"

# Without names in the file, the client asks for them. (It does so by itself if it lacks the
# program.)
pprof -symbolize=remote -top "${url}heap?symbolize=0"
shows 'indexer::work' 'names by POST /symbol'
get "${url}heap?symbolize=0" -o "$work/bare.pb.gz"
go tool pprof -symbolize=none -top "$work/bare.pb.gz" >"$work/out" 2>/dev/null
! grep -q 'indexer::work' "$work/out" || fail "names in a file that was to have none"
ok 'symbolize=0 has none'

# Every kind of name that pprof can show, for an address and for a file, and that the server can.
get "${url}heap" -o "$work/heap.pb.gz"
for of in "${url}heap" "$work/heap.pb.gz"; do
  what="${of##*/}"
  pprof -top -alloc_space "$of"
  shows ' indexer::add( |$)' "$what: short names"
  ! grep -Eq '[<(].*[>)]' <(sed -n '/flat%/,$p' "$work/out" | sed -E 's/ \((partial-)?inline\)$//; s/\(anonymous namespace\)//; s/operator(\(\)|[<>=-]+)//') ||
    fail "$what: brackets in short names"
  pprof -top -alloc_space -symbolize=remote:demangle=full "$of"
  shows ' indexer::add\(.*, unsigned int\)' "$what: demangle=full"
  pprof -top -alloc_space -symbolize=remote:demangle=templates "$of"
  shows 'tracking_allocator<.*>::' "$what: demangle=templates"
  pprof -top -alloc_space -symbolize=remote:force "$of"
  shows ' indexer::add( |$)' "$what: force"
done
pprof -top -alloc_space "${url}heap?names=full"
shows ' indexer::add\(.*, unsigned int\)' 'names=full'
pprof -top -alloc_space "${url}heap?names=templates"
shows 'tracking_allocator<.*>::' 'names=templates'
get "${url}heap?names=mangled&format=folded&sample_type=alloc_space" >"$work/out"
shows ';_ZN7indexer3add' 'names=mangled'

# The scripts of gperftools and brpc ask at other paths.
old="${url%/debug/pprof/}/pprof/"
pprof -symbolize=remote -top "${old}heap?symbolize=0"
shows 'indexer::work' 'names by POST /pprof/symbol'
pprof -top -seconds 1 "${old}profile"
shows 'indexer::work' '/pprof/profile'

# A delta that a client makes of two files shows the same functions as the server's.
get "${url}allocs?seconds=5" -o "$work/delta.pb.gz"
pprof -top -alloc_space "$work/delta.pb.gz"
shows 'indexer::add' 'allocs?seconds=5'
get "${url}heap?format=folded&sample_type=alloc_space" >"$work/out"
shows '^[^ ].*;indexer::work;.* [0-9]+$' 'folded stacks'
echo "session: $checks checks passed"
