#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every test, on a Debian 12 with nothing but bash and apt: `tests/run.sh [--quick] [FOLDER]`.
# FOLDER (default: build/ in the repository) takes all that is built. --quick: g++ alone, without stress,
# benchmarks and the tests that compile programs for minutes (those that CMake labels slow).
#
# While the tests of one suite run, and wait, the next suite is built. What a suite says is printed
# when it has ended, and ends in its runner's own last line; the script ends in `N passed, M failed`,
# counting suites, and with a status that says the same. A suite that fails stops none of the others.
#
# A check runs where it can find something, and once if it would find the same twice:
#
#   header-only        the unit tests of gcc; the others link whence::compiled, which is the same text
#   sanitizers         what the instrumented program does: unit tests and stress. Documents, consumers and
#                      clients are not instrumented
#   ThreadSanitizer    tests that start threads; a preloaded pthread_create checks that the others do not
#   consumers          with both compilers, if symbols, linking or messages are in question; else with one
#   benchmarks         that they compile
#   stress             20 s each, shared among the builds; tests/long.sh gives them more
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

source "$root/tests/support/install.sh"
install_missing "${packages[@]}"

# ---- the suites ----------------------------------------------------------------------------------

# Half of the tests wait for a clock or a client.
tests_at_once=$((2 * jobs))

# Builds suite $1, with the further arguments for cmake.
configure_and_build() {
  cmake -S "$root" --preset "$1" -B "$build/$1" "${@:2}"
  cmake --build "$build/$1" --parallel "$jobs"
}

# Runs the tests of suite $1, with the further arguments for ctest.
run_tests() {
  local through=()
  [ "$1" != tsan ] || through=("${without_randomization[@]}")
  "${through[@]}" ctest --test-dir "$build/$1" --output-on-failure --no-tests=error --parallel "$tests_at_once" "${@:2}"
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

build_gcc() {
  local all=ON
  [ $quick -eq 0 ] || all=OFF
  configure_and_build gcc -DWHENCE_BENCH_ONLY_COMPILE=ON -DWHENCE_BUILD_BENCH=$all -DWHENCE_BUILD_STRESS=$all
}
test_gcc() {
  local only=()
  [ $quick -eq 0 ] || only=(--label-exclude slow)
  run_tests gcc "${only[@]}"
}

build_clang() { configure_and_build clang; }
test_clang() { run_tests clang; }

build_asan() { configure_and_build asan; }
test_asan() { UBSAN_OPTIONS=print_stacktrace=1 run_tests asan; }

build_tsan() { configure_and_build tsan; }
test_tsan() {
  TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" run_tests tsan
}

# Runs the recording folders, without the cases that only their volume makes interesting. For
# threads that sleep or run, the kernel's answers are about valgrind.
suite_valgrind() {
  local core='*/tests/unit/sys/*,*/tests/unit/unwind/*,*/tests/unit/tables/*,*/tests/unit/core/*,*/tests/unit/state/*,*/tests/unit/snapshots/*,*/tests/unit/instruments/*,*/tests/unit/record/*'
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
  clang-tidy --quiet "$root/tests/checks/odr.cpp" -- -std=c++20 -xc++ -I "$root/include"
  echo "lint: clang-tidy has no complaint about <whence/whence.hpp>"
}

# Unit tests as one translation unit, as in tests/support/batches.cmake: first all that they include, then
# each in a namespace of its own.
one_unit() {
  local source
  for source in "$@"; do
    sed -nE 's|^(#include) "(support/.*)"|\1 "'"$root/tests"'/\2"|p; t
      s|^(#include) "(.*)"|\1 "'"$root/tests/unit/$(dirname "$source")"'/\2"|p; /^#include </p' "$root/tests/unit/$source"
  done | LC_ALL=C sort -u
  for source in "$@"; do
    printf 'namespace in_%s {\n#include "%s"\n}\n' "$(tr -c '[:alnum:]\n' _ <<<"$source")" "$root/tests/unit/$source"
  done
}

# The unwinder and the layers below it, built for AArch64 and run by an emulator: on a processor
# without pointer authentication, and on one with it. qemu gives no address twice, so libraries
# cannot replace each other there; and the kernel's answers about sleeping threads are about the
# emulator.
suite_aarch64() {
  local folder="$build/aarch64" sources processor number size
  mkdir -p "$folder"
  rm -f "$folder"/*.{cpp,o}
  mapfile -t sources < <(cd "$root/tests/unit" &&
    LC_ALL=C ls {sys,tables,unwind,unwind/{cfi,modules,walk,aarch64}}/*.test.cpp)
  # One unit a processor: each compiles the library's bodies again.
  size=$(((${#sources[@]} + jobs - 1) / jobs))
  for ((number = 0; number * size < ${#sources[@]}; ++number)); do
    one_unit "${sources[@]:number * size:size}" >"$folder/unit_$number.cpp"
  done
  cp "$root/tests/unit/main.cpp" "$folder/"
  printf '%s\n' "$folder"/*.cpp | xargs -P "$jobs" -I{} aarch64-linux-gnu-g++ -c {} -o {}.o \
    -std=c++20 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror \
    -mbranch-protection=standard -I "$root/tests" -I "$root/include" "-DWHENCE_INCLUDE_DIR=\"$root/include\""
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

# ---- running them ----------------------------------------------------------------------------------

# Runs function $1_$2, and appends to FOLDER/$2.result its status, its seconds, and those that
# processors spent on it. Never to be called in a condition, in which `set -e` has no effect.
measured() {
  local status TIMEFORMAT='%R %U %S'
  set +e
  {
    time {
      (
        set -euo pipefail
        "$1_$2"
      ) >>"$build/$2.out" 2>&1
    }
    status=$?
  } 2>"$build/$2.time"
  set -e
  echo "$status $(<"$build/$2.time")" >>"$build/$2.result"
}

succeeded() { ! grep -qv '^0 ' "$build/$1.result"; }

# What suite $1 has said, uninterrupted by others.
print_suite() {
  exec 8>"$build/print.lock"
  flock 8
  printf '\n==== %s\n' "$1"
  cat "$build/$1.out"
  exec 8>&-
}

whole_suite() {
  measured suite "$1"
  print_suite "$1"
}

# The tests of a suite that is built, one suite at a time. No process that they leave keeps the lock.
tests_of_suite() {
  exec 9>"$build/tests.lock"
  flock 9
  measured test "$1" 9>&-
  exec 9>&-
  print_suite "$1"
}

declare -A alone=()
suites=(reader gcc)
[ $quick -eq 1 ] || suites+=(asan tsan clang aarch64 valgrind lint format)
for suite in "${suites[@]}"; do rm -f "$build/$suite".{out,result}; done

for suite in "${suites[@]}"; do
  case "$suite" in
    reader) whole_suite reader ;;
    gcc | clang | asan | tsan)
      measured build "$suite"
      if succeeded "$suite"; then
        tests_of_suite "$suite" &
      else
        print_suite "$suite"
      fi
      ;;
    *)
      # Each keeps one processor busy: as many at a time as there are processors, beside the tests.
      while [ "${#alone[@]}" -ge "$jobs" ]; do
        wait -n -p ended "${alone[@]}"
        unset "alone[$ended]"
      done
      whole_suite "$suite" &
      alone[$!]=$!
      ;;
  esac
done
wait

printf '\n%-10s %6s %9s %14s\n' suite '' seconds 'processors'
passed=0
failed=0
for suite in "${suites[@]}"; do
  if succeeded "$suite"; then
    passed=$((passed + 1))
    verdict=passed
  else
    failed=$((failed + 1))
    verdict=FAILED
  fi
  awk -v suite="$suite" -v verdict=$verdict '{ real += $2; cpu += $3 + $4 }
    END { printf "%-10s %s %7.0f s %12.0f s\n", suite, verdict, real, cpu }' "$build/$suite.result"
done
echo "all in $SECONDS s, on $jobs processors"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
