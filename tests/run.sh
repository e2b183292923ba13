#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every test, on a Debian 12 with nothing but bash and apt: `tests/run.sh [--quick] [FOLDER]`.
# FOLDER (default: build/ in the repository) takes all that is built. --quick: g++ alone.
#
# Each suite ends in its runner's own last line; the script ends in `N passed, M failed`, counting
# suites, and with a status that says the same. A suite that fails stops none of the others.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

quick=0
build=""
for argument in "$@"; do
  case "$argument" in
    --quick) quick=1 ;;
    -*) echo "usage: tests/run.sh [--quick] [FOLDER]" >&2; exit 2 ;;
    *) build="$argument" ;;
  esac
done
build="${build:-$root/build}"
mkdir -p "$build"
build="$(cd "$build" && pwd)"
jobs="$(nproc)"

# ---- what is needed ------------------------------------------------------------------------------

packages=(
  g++ clang lld cmake ninja-build binutils python3 pkg-config doctest-dev libbenchmark-dev
  zlib1g-dev libdw-dev elfutils dwz libbz2-dev golang-go protobuf-compiler libprotobuf-dev
  golang-github-google-pprof-dev golang-github-ianlancetaylor-demangle-dev graphviz valgrind
  libclang-rt-14-dev clang-format clang-tidy
  lld libjemalloc-dev libgoogle-perftools-dev libunwind-dev g++-aarch64-linux-gnu qemu-user
  ca-certificates libcpp-httplib-dev libboost-dev curl wrk chromium gdb
)
# A node that is already installed, from any source, is good enough.
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

source "$root/tests/install.sh"
install_missing "${packages[@]}"

# ---- the suites ----------------------------------------------------------------------------------

configure_and_build() {
  cmake -S "$root" --preset "$1" -B "$build/$1" -DWHENCE_BENCH_OPTIONS=-O1
  cmake --build "$build/$1" --parallel "$jobs"
}

# If addresses are randomized over more bits than ThreadSanitizer's map foresees, it needs fixed ones.
without_randomization=()
bits=/proc/sys/vm/mmap_rnd_bits
if [ -r $bits ] && [ "$(cat $bits)" -gt 28 ] && setarch "$(uname -m)" -R true 2>/dev/null; then
  without_randomization=(setarch "$(uname -m)" -R)
fi

# An independent reader of profile.proto, a viewer, and a browser's driver; tests find them by
# NODE_PATH. Node brings its own list of authorities; here it also trusts the system's.
export NODE_PATH="$build/npm/node_modules"
suite_reader() {
  local authorities=/etc/ssl/certs/ca-certificates.crt
  if [ ! -d "$NODE_PATH/pprof-format" ] || [ ! -d "$NODE_PATH/speedscope" ]; then
    NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$authorities}" npm install --prefix "$build/npm" \
      --no-audit --no-fund --no-package-lock --fetch-retries=1 pprof-format@2 playwright-core@1 speedscope@1
  fi
  node -e 'console.log("reader: pprof-format has", Object.keys(require("pprof-format")).length, "exports")'
}

suite_gcc() {
  configure_and_build gcc
  ctest --test-dir "$build/gcc" --output-on-failure --no-tests=error --parallel "$jobs"
}

suite_clang() {
  configure_and_build clang
  ctest --test-dir "$build/clang" --output-on-failure --no-tests=error --parallel "$jobs"
}

suite_asan() {
  configure_and_build asan
  UBSAN_OPTIONS=print_stacktrace=1 \
    ctest --test-dir "$build/asan" --output-on-failure --no-tests=error --parallel "$jobs"
}

suite_tsan() {
  configure_and_build tsan
  TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" "${without_randomization[@]}" \
    ctest --test-dir "$build/tsan" --output-on-failure --no-tests=error --parallel "$jobs"
}

# Runs the recording folders, without the cases that only their volume makes interesting. For
# threads that sleep or run, the kernel's answers are about valgrind.
suite_valgrind() {
  local core='*/tests/sys/*,*/tests/unwind/*,*/tests/tables/*,*/tests/core/*,*/tests/state/*,*/tests/snapshots/*,*/tests/instruments/*,*/tests/record/*'
  valgrind --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --quiet \
    "$build/gcc/tests/whence_tests" "--source-file=$core" '--test-suite-exclude=heavy' \
    '--test-case-exclude=*thread that sleeps*,*threads that run*,*child of fork finds no thread waiting*' |
    tee "$build/valgrind.log"
  ! grep -Eq 'test cases: +0 ' "$build/valgrind.log" || { echo "valgrind: no test was run"; return 1; }
}

suite_format() {
  local files
  mapfile -t files < <(find "$root/include" "$root/tests" "$root/bench" "$root/examples" \
    -name '*.hpp' -o -name '*.ipp' -o -name '*.cpp' | LC_ALL=C sort)
  clang-format --dry-run --Werror "${files[@]}"
  echo "format: ${#files[@]} files are as clang-format makes them"
}

suite_lint() {
  clang-tidy --quiet "$root/tests/odr.cpp" -- -std=c++20 -xc++ -I "$root/include"
  echo "lint: clang-tidy has no complaint about <whence/whence.hpp>"
}

# The unwinder and the layers below it, built for AArch64 and run by an emulator: on a processor
# without pointer authentication, and on one with it. qemu gives no address twice, so libraries
# cannot replace each other there; and the kernel's answers about sleeping threads are about the
# emulator.
suite_aarch64() {
  local folder="$build/aarch64" sources processor
  mkdir -p "$folder"
  mapfile -t sources < <(cd "$root/tests" &&
    LC_ALL=C ls main.cpp {sys,tables,unwind,unwind/{cfi,modules,walk,aarch64}}/*.test.cpp)
  printf '%s\n' "${sources[@]}" | xargs -P "$jobs" -I{} bash -c '
    aarch64-linux-gnu-g++ "${@:3}" -c "$1/tests/{}" -o "$2/$(tr / _ <<<"{}").o"' - "$root" "$folder" \
    -std=c++20 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror \
    -mbranch-protection=standard -I "$root/include" "-DWHENCE_INCLUDE_DIR=\"$root/include\""
  aarch64-linux-gnu-g++ "$folder"/*.o -rdynamic -o "$folder/whence_tests"
  for processor in cortex-a57 max; do
    CXX=aarch64-linux-gnu-g++ qemu-aarch64 -cpu $processor -L /usr/aarch64-linux-gnu \
      "$folder/whence_tests" '--test-case-exclude=a library at the address of an unloaded one*,*though another one lies at its address*,*thread that sleeps*,*kernel says*,*address space is as large*' |
      tee "$folder/$processor.log"
    ! grep -Eq 'test cases: +0 ' "$folder/$processor.log" || { echo "aarch64: no test was run"; return 1; }
  done
  CXX=aarch64-linux-gnu-g++ EMULATOR="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
    "$root/tests/preload/run.sh" "$folder/preload" torture once linked
}

# Runs a suite and leaves its status and seconds in FOLDER/NAME.result.
measured() {
  local started=$SECONDS status
  # A subshell, outside of any condition: otherwise `set -e` has no effect inside.
  set +e
  (
    set -euo pipefail
    "suite_$1"
  )
  status=$?
  set -e
  echo "$status $((SECONDS - started))" >"$build/$1.result"
}

passed=()
failed=()
declare -A seconds=()
note_result() {
  local status
  read -r status "seconds[$1]" <"$build/$1.result"
  if [ "$status" -eq 0 ]; then passed+=("$1"); else failed+=("$1"); fi
}

run() {
  printf '\n==== %s\n' "$1"
  measured "$1"
  note_result "$1"
}

# Suites that each keep one processor busy: as many at a time as there are processors. What they say
# is printed when all have ended, one after the other.
run_beside_each_other() {
  local suite
  for suite in "$@"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    measured "$suite" >"$build/$suite.out" 2>&1 &
  done
  wait
  for suite in "$@"; do
    printf '\n==== %s\n' "$suite"
    cat "$build/$suite.out"
    note_result "$suite"
  done
}

run reader
run gcc
if [ $quick -eq 0 ]; then
  for suite in clang asan tsan; do run $suite; done
  run_beside_each_other aarch64 valgrind lint format
fi

printf '\n'
for suite in "${passed[@]}"; do printf '%-10s passed  %5d s\n' "$suite" "${seconds[$suite]}"; done
for suite in "${failed[@]}"; do printf '%-10s FAILED  %5d s\n' "$suite" "${seconds[$suite]}"; done
echo "${#passed[@]} passed, ${#failed[@]} failed"
[ "${#failed[@]}" -eq 0 ]
