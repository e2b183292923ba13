#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Measures what a file that records costs its program, in figures that are exact on any machine
# under any load (bench/compile_cost.py measures the time):
#
#   bytes     that each sample of bench/compile_cost adds to its twin *_std.cpp, compiled with -O2:
#             the sum of text and data as `size` counts them. Text has read-only data, unwind tables
#             and notes in it; zeroed memory is in neither
#   thread    bytes of static thread-local storage, of which glibc keeps 1664 for all plugins
#   symbols   that such an object defines: none of the code that reads or walks stacks
#   lines     that including a page adds up to after preprocessing, as a ratio to standard headers
#
# The compiler is CXX, the measured tree WHENCE_INCLUDE (default: this one). The optional libraries
# are switched on, since they would count as well.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
compiler="${CXX:-g++}"
include="$(realpath "${WHENCE_INCLUDE:-$root/include}")"
samples="$root/bench/compile_cost"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
flags=(-std=c++20 "-I$include" -DWHENCE_WITH_ZLIB=1 -DWHENCE_WITH_LIBDW=1)
failures=0
if "$compiler" --version | grep clang >/dev/null; then column=2; else column=1; fi

too_much() {  # what
  echo "recording_size: $1" >&2
  failures=$((failures + 1))
}

# Bytes that a sample may add to its twin (g++, clang++): the measured figure, rounded up to 256.
bytes="
vector_mutex        4096 4608
memory_resource     2560 3328
condition_variable  1792 2048
semaphore           1792 2048
thread              2304 2560
labels              1792 2048
tracked             1792 2048
coroutine           2560 2560
"

# A word to count allocations down, and one to find the thread's labels.
thread_local_limit=16

# Pages, the standard header or headers for comparison, hundredths of their lines. In the figure of
# whence, 4 are libdw's headers, 3 <optional>, in which its readers return what a file may lack, and 5 our
# own lines that free the stacks of samples and ask which threads take SIGPROF (2200 lines); and 3 are
# label values that live with samples and what the heap profile says of malloc. (bench/compile_cost.py
# measures seconds: 3.4 times the three before these lines, 3.0 after what else changed with them.)
lines="
allocator        memory               35
memory_resource  memory               95
mutex            memory               85
labels           memory               50
tracked          memory               20
registry         memory               20
knobs            memory               20
recording        mutex,memory,thread  130
whence           mutex,memory,thread  182
"

# Symbols that a recording object must not define. They are mangled, so that a parameter's type does
# not count.
reading='^_Z[A-Z]*6whence2v1(6unwind|5stack|6tables|7symbols|6format|4http)'

compiled() {  # sample -> text + data; leaves the object in scratch
  "$compiler" "${flags[@]}" -O2 -c "$samples/$1.cpp" -o "$scratch/$1.o"
  size "$scratch/$1.o" | awk 'NR == 2 { print $1 + $2 }'
}

thread_local_bytes() {  # object
  size -A "$1" | awk '$1 ~ /^\.t(bss|data)/ { sum += $2 } END { print sum + 0 }'
}

preprocessed() {  # headers... -> lines of a file that includes them all
  printf '#include <%s>\n' "$@" | "$compiler" "${flags[@]}" -E -P -x c++ - | wc -l
}

echo "$("$compiler" --version | head -n 1), $include"
printf '\n%-20s %8s %8s %8s %8s %8s\n' sample bytes twin added limit thread
while read -r name gcc clang; do
  [ -n "$name" ] || continue
  limit="$([ "$column" = 1 ] && echo "$gcc" || echo "$clang")"
  own="$(compiled "$name")"
  twin="$(compiled "${name}_std")"
  verdict=""
  if [ $((own - twin)) -gt "$limit" ]; then
    verdict="  too much"
    too_much "$name adds $((own - twin)) bytes, $limit are allowed"
  fi
  thread="$(thread_local_bytes "$scratch/$name.o")"
  if [ "$thread" -gt "$thread_local_limit" ]; then
    verdict="  too much"
    too_much "$name takes $thread bytes of thread-local storage, $thread_local_limit are allowed"
  fi
  printf '%-20s %8d %8d %8d %8d %8d%s\n' "$name" "$own" "$twin" $((own - twin)) "$limit" "$thread" \
    "$verdict"
  found="$(nm --defined-only --format=posix "$scratch/$name.o" | cut -d ' ' -f 1 |
    grep -E "$reading" || true)"
  if [ -n "$found" ]; then
    too_much "$name defines $(wc -l <<<"$found") symbols of code that reads, as $(head -n 1 <<<"$found" | c++filt)"
  fi
done <<<"$bytes"

printf '\n%-20s %8s %8s %8s\n' page lines ratio limit
while read -r page headers limit; do
  [ -n "$page" ] || continue
  IFS=, read -ra standard <<<"$headers"
  own="$(preprocessed "whence/$page.hpp")"
  others="$(preprocessed "${standard[@]}")"
  verdict=""
  if [ $((own * 100)) -gt $((others * limit)) ]; then
    verdict="  too much"
    too_much "<whence/$page.hpp> has more than $limit % of the lines of <${headers//,/>, <}>"
  fi
  printf '%-20s %8d %7d%% %7d%%%s\n' "$page" "$own" $((own * 100 / others)) "$limit" "$verdict"
done <<<"$lines"

if [ "$failures" -gt 0 ]; then
  echo "recording_size: $failures limits are passed" >&2
  exit 1
fi
echo "recording_size: everything is within its limit"
