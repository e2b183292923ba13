#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job, on a Debian 12 with nothing but bash and apt: `examples/run.sh [FOLDER]`. Builds the
# examples, runs the indexer, the labelled requests, coroutines and leaks, and leaves their profiles
# in FOLDER (default: profiles/ here, where you stand) together with what `go tool pprof` makes of
# them: the top of each, and call graphs.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
profiles="${1:-$PWD/profiles}"
mkdir -p "$profiles"
profiles="$(cd "$profiles" && pwd)"
build="${WHENCE_BUILD_FOLDER:-$root/build/examples}"

packages=(g++ cmake ninja-build pkg-config zlib1g-dev libdw-dev libboost-dev
  golang-go graphviz)
source "$root/tests/support/install.sh"
install_missing "${packages[@]}"

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DWHENCE_BUILD_TESTS=OFF -DWHENCE_BUILD_BENCH=OFF -DWHENCE_BUILD_EXAMPLES=ON
cmake --build "$build"

cd "$profiles"
"$build/examples/indexer"

export HOME="${HOME:-/root}"
for name in heap files block mutex; do
  printf '\n== go tool pprof -top %s.pb.gz\n' "$name"
  go tool pprof -top "$name.pb.gz" | sed -n 1,20p
done
go tool pprof -svg -output heap.svg heap.pb.gz

mkdir -p requests
"$build/examples/requests" 2 requests
printf '\n== go tool pprof -tags requests/cpu.pb.gz\n'
go tool pprof -tags requests/cpu.pb.gz
printf '== go tool pprof -top -tagfocus=handler=/search requests/cpu.pb.gz\n'
go tool pprof -top -tagfocus=handler=/search requests/cpu.pb.gz | sed -n 1,14p
go tool pprof -svg -output requests/cpu.svg requests/cpu.pb.gz
mkdir -p coroutines
printf '\n== coroutines, suspended\n'
(cd coroutines && "$build/examples/coroutines" | sed -n '/coroutine\]/,/^created by/p' | head -n 8)
mkdir -p leaks
printf '\n== leaks: '
(cd leaks && "$build/examples/leaks")
printf '== go tool pprof -top -base leaks/sessions.1.pb.gz leaks/sessions.2.pb.gz\n'
go tool pprof -top -base leaks/sessions.1.pb.gz leaks/sessions.2.pb.gz | sed -n '/flat%/,$p' | head -n 8

# The same program, asked while it runs.
"$build/examples/indexer" /usr/include "$profiles" 0 >served.log 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
until grep -q '^http' served.log; do
  kill -0 $server || { cat served.log; exit 1; }
  sleep 0.1
done
page="$(head -n 1 served.log)"
printf '\n== go tool pprof -top %s\n' "${page%ui}profile?seconds=2"
go tool pprof -top "${page%ui}profile?seconds=2" 2>/dev/null | sed -n 1,12p
kill $server
rm served.log

printf '\nIn %s:\n' "$profiles"
ls -l -- *.html *.pb.gz *.svg requests/* coroutines/* leaks/*
printf '\nA flame graph of the heap: %s\nOf the running program:    %s /usr/include %s 6060, then http://127.0.0.1:6060/debug/pprof/ui\n' \
  "$profiles/flamegraph.html" "$build/examples/indexer" "$profiles"
