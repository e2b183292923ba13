#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Instructions of a program that only allocates and frees, by callgrind: alone, with
# <whence/new_delete.hpp>, and with <whence/malloc.hpp> preloaded, over each allocator that is installed.
# Those of the program's start are taken off. `whole_program.sh [PAIRS]`
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
pairs="${1:-530000}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
flags=(-std=c++20 -O2 -I "$root/include")
cd "$work"
g++ "${flags[@]}" -fPIC -shared -static-libstdc++ -static-libgcc \
  -Wl,--version-script="$root/tests/preload/preload.map" "$root/tests/preload/preload.cpp" -o whole.so
g++ "${flags[@]}" "$root/bench/whole_program/churn.cpp" -o churn
g++ "${flags[@]}" "$root/bench/whole_program/churn.cpp" "$root/bench/whole_program/reads.cpp" -o churn_new_delete

instructions() {  # environment and program...
  valgrind --trace-children=yes --tool=callgrind --callgrind-out-file=/dev/null env "$@" 2>&1 |
    awk '/Collected/ { print $4 }' | tail -n 1
}
row() {  # name, what it is compared with or nothing, environment and program...
  local name="$1" base="$2" own
  shift 2
  own=$(($(instructions "$@" "$pairs") - $(instructions "$@" 0)))
  awk -v name="$name" -v own="$own" -v base="${base:-$own}" \
    'BEGIN { printf "%-40s %12d  %.4f\n", name, own, own / base }' >&2
  echo "$own"
}

for way in new malloc; do
  plain="$(row "$way" "" ./churn $way)"
  [ $way = malloc ] || row "$way, new_delete.hpp" "$plain" ./churn_new_delete $way >/dev/null
  row "$way, malloc.hpp" "$plain" LD_PRELOAD="$work/whole.so" ./churn $way >/dev/null
  row "$way, malloc.hpp, rate 0" "$plain" LD_PRELOAD="$work/whole.so" WHENCE_HEAP_RATE=0 ./churn $way >/dev/null
  for other in libjemalloc.so.2 libtcmalloc.so.4; do
    ldconfig -p | grep -q "$other" || continue
    below="$(row "$way, $other" "" LD_PRELOAD=$other ./churn $way)"
    row "$way, malloc.hpp over $other" "$below" LD_PRELOAD="$work/whole.so:$other" ./churn $way >/dev/null
  done
done
