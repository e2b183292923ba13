#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Real clients read the profiles: `clients.sh DIR KINDS BUILD`. DIR holds the indexer's profiles,
# KINDS a profile of every kind with its debug=1 text (write_profiles.cpp). BUILD gets the
# standalone pprof, built from Debian's golang-github-google-pprof-dev; go tool pprof is the other
# client. Both must succeed without warnings, agree with one another and with the validator, and
# show the indexer's own source with its inlined frames. No network.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# -eq 3 ] || { echo "usage: clients.sh DIR KINDS BUILD" >&2; exit 2; }
dir="$(cd "$1" && pwd)"
kinds="$(cd "$2" && pwd)"
mkdir -p "$3"
build="$(cd "$3" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export PPROF_TMPDIR="$work" HOME="${HOME:-$work}" GOCACHE="$build/gocache" GOFLAGS=
export http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9  # a client that asks, fails

[ -x "$build/pprof" ] ||
  (cd "$build" && GO111MODULE=off GOPATH=/usr/share/gocode go build -o pprof github.com/google/pprof)

checks=0
fail() { echo "FAILED: $*"; exit 1; }
ok() { checks=$((checks + 1)); }

# run CLIENT ARGUMENTS...: its output in $work/out; anything on stderr but the fetch lines fails.
run() {
  local client="$1"; shift
  local command=("$build/pprof")
  [ "$client" = standalone ] || command=(go tool pprof)
  "${command[@]}" "$@" >"$work/out" 2>"$work/err" || { cat "$work/err"; fail "$client $*: status $?"; }
  if grep -Ev '^(Fetching profile|Saved profile|Generating report)' "$work/err" >"$work/warnings"; then
    cat "$work/warnings"
    fail "$client $*: a warning"
  fi
  ok
}
shows() { grep -Eq -- "$1" "$work/out" || { head -30 "$work/out"; fail "no /$1/ in: $2"; }; ok; }
lacks() { ! grep -Eq -- "$1" "$work/out" || { head -30 "$work/out"; fail "/$1/ is in: $2"; }; ok; }

# total FIELD FILE: a sum from the validator's summary. raw_total INDEX: the same from -raw output.
total() { sed -E "s/.*\"$1\":\"?([0-9]+).*/\1/" <<<"$2"; }
raw_total() {
  awk -v column="$1" '
    /^Samples:/ { on = 1; getline; next }
    /^Locations/ { on = 0 }
    on && /^ *[0-9]+( +[0-9]+)*: / { sub(/:.*/, ""); split($0, v, " "); sum += v[column] }
    END { printf "%.0f\n", sum }' "$work/out"
}

kind_of() {
  case "$1" in
    heap.* | heap) echo heap ;;
    allocs | block | mutex | mutex_hold | goroutine | threadcreate | cpu | wall) echo "$1" ;;
    files | shards) echo "custom:indexer.$1" ;;
    *) echo "custom:$(tr -c 'A-Za-z0-9_./\n' _ <<<"$1")" ;;  # as the writer makes a type of a name
  esac
}

mapfile -t profiles < <(find "$dir" "$kinds" -maxdepth 1 -name '*.pb.gz' | LC_ALL=C sort)
for name in heap heap.1 allocs files shards; do
  [ -s "$dir/$name.pb.gz" ] || fail "$dir/$name.pb.gz is not there"
done
for name in heap allocs block mutex mutex_hold goroutine threadcreate app.values app.deep-stacks; do
  [ -s "$kinds/$name.pb.gz" ] && [ -s "$kinds/$name.txt" ] || fail "no $name in $kinds"
done

for name in cpu wall; do
  [ -s "$kinds/$name.pb.gz" ] || fail "no $name in $kinds"
done

for file in "${profiles[@]}"; do
  kind="$(kind_of "$(basename "$file" .pb.gz)")"
  options=(--kind "$kind")
  case "$kind" in heap | allocs | cpu | wall | custom:indexer.*) options+=(--nonempty) ;; esac
  summary="$(node "$here/validate.mjs" "${options[@]}" "$file")" || fail "$summary"
  ok
  mapfile -t types < <(grep -Eo '"sums":\{[^}]*' <<<"$summary" | grep -Eo '"[^"]+":"[0-9]+"' | cut -d'"' -f2)
  for client in go standalone; do
    for report in -top -traces -tags -raw; do run $client $report "$file"; done
    column=0
    for type in "${types[@]}"; do
      column=$((column + 1))
      [ "$(raw_total $column)" = "$(total "$type" "$summary")" ] ||
        fail "$client $file: $type is $(raw_total $column), the validator says $(total "$type" "$summary")"
      ok
    done
    grep -v '^Duration\|^Time' "$work/out" >"$work/$client.raw"
  done
  # The readers of raw samples must agree line by line.
  awk '/^Samples:/ { on = 1 } /^Locations/ { on = 0 } on' "$work/go.raw" >"$work/go.samples"
  awk '/^Samples:/ { on = 1 } /^Locations/ { on = 0 } on' "$work/standalone.raw" >"$work/standalone.samples"
  diff "$work/go.samples" "$work/standalone.samples" || fail "$file: the clients differ"
  ok
  bash "$here/protoc.sh" "$file" >"$work/protoc" || fail "$(cat "$work/protoc")"
  ok
done

for client in go standalone; do
  for type in inuse_space alloc_space inuse_objects; do
    run $client -top "-$type" "$dir/heap.pb.gz"
    shows 'indexer::' "$client -top -$type"
    lacks '::allocate( |$)|  operator new|_M_allocate( |$)' "$client -top -$type"
  done
  run $client -top -alloc_space -base "$dir/heap.1.pb.gz" "$dir/heap.pb.gz"
  shows 'Showing nodes accounting for' "$client -base"
  run $client -list 'indexer::' -alloc_space "$dir/heap.pb.gz"
  shows 'ROUTINE .*indexer.cpp' "$client -list"
  shows ' [0-9.]+[kMG]?B +[0-9]+:.*(content|index|push_back|emplace|append)' "$client -list: lines"
  run $client -peek 'indexer::' -alloc_space "$dir/heap.pb.gz"
  shows '\(inline\)' "$client -peek"
  run $client -traces -alloc_space "$dir/heap.pb.gz"
  shows '\(inline\)' "$client -traces"
  run $client -tags "$dir/heap.pb.gz"
  shows 'bytes: Total' "$client -tags"
  shows 'type: Total' "$client -tags: type"
  run $client -top -alloc_space -hide='^(std|whence)::' "$dir/heap.pb.gz"
  grep -A1 'flat%' "$work/out" | grep -E '(indexer|source_file)::' >/dev/null || fail "$client -hide: $(cat "$work/out")"
  ok
  run $client -svg -alloc_space -output "$work/heap.svg" "$dir/heap.pb.gz"
  grep -q '</svg>' "$work/heap.svg" || fail "$client -svg: no picture"
  ok
  run $client -top "$dir/allocs.pb.gz"
  shows '^Type: alloc_space' "$client: the type allocs shows"
  run $client -top "$dir/heap.pb.gz"
  shows '^Type: inuse_space' "$client: the type heap shows"
  run $client -lines -traces "$dir/files.pb.gz"
  shows 'source_file::source_file.*indexer.cpp:[0-9]+' "$client -lines files"
  run $client -raw "$dir/heap.pb.gz"
  shows 'indexer.cpp:[0-9]+' "$client -raw"
  for type in contentions delay; do
    run $client -top "-sample_index=$type" "$kinds/mutex.pb.gz"
    lacks 'unlock|~lock_guard' "$client -top -$type mutex"
    run $client -top "-sample_index=$type" "$kinds/block.pb.gz"
    shows 'tracked_mutex::lock' "$client -top -$type block"
  done
  run $client -tags "$kinds/mutex.pb.gz"
  shows 'orders' "$client -tags mutex: lock"
  shows 'delay: Total' "$client -tags mutex: delay"
  run $client -top -tagfocus 'lock=orders' "$kinds/block.pb.gz"
  shows '^Showing nodes accounting for' "$client -tagfocus"
  run $client -top "$kinds/cpu.pb.gz"
  shows '^Type: cpu' "$client: the type cpu shows"
  shows '^Duration: .*Total samples' "$client: the duration of cpu"
  shows 'render' "$client -top cpu"
  run $client -tags "$kinds/cpu.pb.gz"
  shows 'handler: Total' "$client -tags cpu"
  shows '/search' "$client -tags cpu"
  run $client -top -tagfocus 'handler=/search' "$kinds/cpu.pb.gz"
  shows 'render' "$client -tagfocus cpu"
  run $client -top "$kinds/wall.pb.gz"
  shows '^Type: time' "$client: the type wall shows"
  run $client -tags "$kinds/wall.pb.gz"
  shows 'waiting' "$client -tags wall"
  shows 'running' "$client -tags wall"
  run $client -top -tagfocus 'state=waiting' "$kinds/wall.pb.gz"
  shows 'nanosleep' "$client -tagfocus wall"
  run $client -top -lines -sample_index=hold "$kinds/mutex_hold.pb.gz"
  shows 'write_profiles\.cpp:[0-9]+' "$client -top -hold mutex_hold"
done

# In Go's text: a legacy profile has no symbols, so clients may report that.
mapfile -t texts < <(find "$kinds" -maxdepth 1 -name '*.txt' | LC_ALL=C sort)
for file in "${texts[@]}"; do
  for command in "go tool pprof" "$build/pprof"; do
    $command -symbolize=none -raw "$file" >"$work/out" 2>"$work/err" || { cat "$work/err"; fail "$command -raw $file"; }
    shows '^PeriodType' "$command -raw $file"
    # Text and protobuf were written a moment apart, after all recording had ended.
    case "$(basename "$file")" in
      block.txt | mutex.txt)
        of_text="$(raw_total 1) $(raw_total 2)"
        $command -raw "${file%.txt}.pb.gz" >"$work/out" 2>/dev/null
        [ "$of_text" = "$(raw_total 1) $(raw_total 2)" ] || fail "$file: the sums differ from the protobuf's"
        ok
        ;;
    esac
  done
done

echo "clients.sh: ${#profiles[@]} profiles, ${#texts[@]} texts, $checks checks passed"
