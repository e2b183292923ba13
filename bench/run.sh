#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every benchmark, ours and the peers', in one session: `bench/run.sh [BUILD]`. Prints all
# figures, then those with a peer, with the ratio (peer / ours; above 1 ours is faster).
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
build="${1:-$root/build/bench}"
mkdir -p "$build"
cmake -S "$root" --preset gcc -B "$build" -DCMAKE_BUILD_TYPE=Release -DWHENCE_BUILD_TESTS=OFF \
  -DWHENCE_BUILD_EXAMPLES=OFF -DWHENCE_BUILD_BENCH=ON >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
cmake --build "$build" --parallel "$(nproc)"
build="$(cd "$build" && pwd)"
export HOME="${HOME:-$build}" GO111MODULE=off

: >"$build/ours.csv"
: >"$build/peers.txt"
for program in "$build"/bench/bench_*; do
  [ -x "$program" ] || continue
  echo "== $(basename "$program")" >&2
  "$program" --benchmark_format=csv 2>/dev/null | sed "s|^\"|\"$(basename "$program" | cut -d_ -f2-):|" >>"$build/ours.csv"
done
for source in "$root"/bench/peers/*.go; do
  echo "== $(basename "$source")" >&2
  go build -o "$build/peer_$(basename "$source" .go)" "$source"
  [ "$(basename "$source")" = cpu_profile.go ] && continue # by bench/cpu.py
  "$build/peer_$(basename "$source" .go)" | tee -a "$build/peers.txt"
done
for program in capture_depth capture_depth_by_frame_pointers capture_handler lock_contended wall_sleepers dump \
  serve_heap; do
  [ -x "$build/bench/$program" ] || continue
  printf '\n== %s\n' "$program"
  "$build/bench/$program"
done
printf '\n== cpu\n'
cp "$build/peer_cpu_profile" "$build/bench/"
python3 "$root/bench/cpu.py" "$build/bench"
printf '\n'
python3 "$root/bench/table.py" "$build/ours.csv" "$build/peers.txt"
