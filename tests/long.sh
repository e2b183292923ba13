#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What needs longer than tests/run.sh takes: `tests/long.sh [SECONDS [FOLDER]]`. Every program of
# tests/stress runs for SECONDS (default: 600) in each build that has it:
#
#   gcc     all: torture, locks, samplers, dumps, month, births, completeness, faults, and the fuzzers
#   clang   the same but for faults, with libFuzzer's choice of inputs
#   asan    the fuzzers, for twice as long; torture, locks, samplers, dumps
#   tsan    what has threads: torture, locks, samplers, dumps, the server's fuzzer
#
# month runs four times as long. births has no duration, and is repeated. faults, in gcc's build alone,
# takes as long as it takes, some hours: the system fails at each call, one after the other. As many run
# at a time as there are processors. FOLDER (default: build/long in the repository) takes what is built.
# The packages that tests/run.sh installs are needed. Ends in `N passed, M failed`, counting builds.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
seconds="${1:-600}"
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "usage: tests/long.sh [SECONDS [FOLDER]]" >&2; exit 2; }
mkdir -p "${2:-$root/build/long}"
build="$(cd "${2:-$root/build/long}" && pwd)"
jobs="$(nproc)"

# ThreadSanitizer's map foresees fewer random bits of addresses than some kernels use.
through=()
if setarch "$(uname -m)" -R true 2>/dev/null; then through=(setarch "$(uname -m)" -R); fi
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1"

run_build() {  # preset
  cmake -S "$root" --preset "$1" -B "$build/$1" -DWHENCE_STRESS_SECONDS="$seconds" \
    -DWHENCE_BUILD_EXAMPLES=OFF -DWHENCE_BUILD_BENCH=OFF
  cmake --build "$build/$1" --parallel "$jobs" --target whence_stress
  local command=(ctest --test-dir "$build/$1" --output-on-failure --no-tests=error --label-regex stress)
  [ "$1" != tsan ] || command=("${through[@]}" "${command[@]}")
  "${command[@]}" --parallel "$jobs"
  if [ -x "$build/$1/tests/stress/births" ]; then
    local end=$((SECONDS + seconds)) runs=0
    while [ $SECONDS -lt $end ]; do
      "$build/$1/tests/stress/births" >"$build/births.log" 2>&1 || { cat "$build/births.log"; exit 1; }
      runs=$((runs + 1))
    done
    echo "births: $runs runs"
  fi
  if [ "$1" = gcc ] && [ -f "$build/$1/tests/stress/faults.so" ]; then
    python3 "$root/tests/stress/faults.py" "$build/$1/tests/stress/faults_subject" \
      "$build/$1/tests/stress/faults.so"
  fi
}

passed=0
failed=0
for preset in gcc clang asan tsan; do
  printf '\n==== %s\n' "$preset"
  set +e
  # A subshell, outside of any condition: otherwise `set -e` has no effect inside.
  (
    set -e
    run_build "$preset"
  )
  status=$?
  set -e
  if [ $status -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
