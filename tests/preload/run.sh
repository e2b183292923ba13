#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The memory of whole programs: `run.sh FOLDER [case ...]` builds into FOLDER a library with
# <whence/malloc.hpp> and programs that know nothing of it, and runs them under each allocator that is
# installed. CXX is the compiler; EMULATOR runs programs for another machine. Every check is of contents or of counts, none of time.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
[ $# -ge 1 ] || { echo "usage: run.sh FOLDER [case ...]" >&2; exit 2; }
mkdir -p "$1"
folder="$(cd "$1" && pwd)"
shift
compiler="${CXX:-g++}"
strict=(-std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -I "$root/include" -I "$root/tests")
cd "$folder"

die() { echo "preload: $*" >&2; exit 1; }

# What is newer than its target is built.
newer() { [ ! -e "$1" ] || [ -n "$(find "$root/include" "$here" -newer "$1" -print -quit)" ]; }
library="$folder/libwhole.so"
build_library() {
  newer "$library" || return 0
  "$compiler" "${strict[@]}" -O2 -g1 -fPIC -shared -static-libstdc++ -static-libgcc \
    -Wl,--version-script="$here/preload.map" "$here/preload.cpp" -o "$library"
}
program() {  # name, flags... : built from NAME.cpp
  local name="$1"
  shift
  newer "$folder/$name" || return 0
  "$compiler" "${strict[@]}" -O1 -g1 "$here/$name.cpp" -o "$folder/$name" -ldl -pthread "$@"
}

# The libraries of other allocators that are installed; the empty one is glibc.
allocators() {
  echo
  local name
  [ -z "${EMULATOR:-}" ] || return 0
  for name in libjemalloc.so.2 libtcmalloc_minimal.so.4 libtcmalloc.so.4; do
    ldconfig -p | awk -v name="$name" '$1 == name && /'"$(uname -m | tr _ -)"'/ { print $NF; exit }'
  done
}
over() {  # allocator's library or nothing, command... : with the library before it
  local below="$1"
  shift
  if [ -n "${EMULATOR:-}" ]; then
    $EMULATOR -E LD_PRELOAD="$library" "$@"
  else
    LD_PRELOAD="$library${below:+:$below}" "$@"
  fi
}

# The expected set is compared as a whole: a symbol more would take another module's place.
case_exports() {
  build_library
  local found
  found="$(objdump -T "$library" | awk '/\.text/ && $2 == "g" { print $NF }' | LC_ALL=C sort)"
  diff <(echo "$found") <(tr -d ' \n' <"$here/preload.map" |
    sed -E 's/.*global:(.*);local.*/\1/' | tr ';' '\n' | LC_ALL=C sort) || die "other exports"
  echo "exports: $(wc -l <<<"$found") functions and no other"
}

case_torture() {
  build_library
  program torture
  local below rate
  while read -r below; do
    for rate in 524288 65536 4096 1 0; do
      WHENCE_HEAP_RATE=$rate over "$below" "$folder/torture" 20000 ||
        die "torture over ${below:-glibc} at rate $rate"
    done
  done < <(allocators)
}

case_usable() {
  build_library
  program usable
  local below
  while read -r below; do
    # glibc's sizes depend on what was there before: a rest that is too small stays in the block, and
    # a block is mapped from a size on that grows. The others must agree exactly.
    LD_PRELOAD="$below" "$folder/usable" >plain.txt
    echo "usable over ${below:-glibc}:"
    WHENCE_HEAP_RATE=65536 over "$below" "$folder/usable" plain.txt $([ -n "$below" ] || echo 4096) || die "usable sizes over ${below:-glibc}"
  done < <(allocators)
}

case_peaks() {
  build_library
  program peaks
  local below
  while read -r below; do
    LD_PRELOAD="$below" "$folder/peaks" >plain.txt || die "peaks alone over ${below:-glibc}"
    over "$below" "$folder/peaks" "$(cat plain.txt)" $([[ $below != *jemalloc* ]] || echo 256) || die "peaks over ${below:-glibc}"
  done < <(allocators)
}

case_deepbind() {
  build_library
  newer deep.so && "$compiler" "${strict[@]}" -O1 -fPIC -shared "$here/deep.cpp" -o deep.so
  program deepbind
  local below rate
  while read -r below; do
    for rate in 65536 4096; do
      WHENCE_HEAP_RATE=$rate over "$below" "$folder/deepbind" "$folder/deep.so" ||
        die "deepbind over ${below:-glibc} at rate $rate"
    done
  done < <(allocators)
}

# The plugin's functions are the C library's, which must not get blocks of another allocator.
case_stale() {
  build_library
  newer deep.so && "$compiler" "${strict[@]}" -O1 -fPIC -shared "$here/deep.cpp" -o deep.so
  program stale
  local rate
  for rate in 65536 4096; do
    WHENCE_HEAP_RATE=$rate over "" "$folder/stale" "$folder/deep.so" || die "a stale size at rate $rate"
  done
}

case_failed_new() {
  build_library
  program failed_new
  local below
  while read -r below; do
    WHENCE_HEAP_RATE=65536 over "$below" "$folder/failed_new" ||
      die "no samples after a failed new over ${below:-glibc}"
  done < <(allocators)
}

case_statistics() {
  build_library
  program mean
  local below
  while read -r below; do
    WHENCE_HEAP_RATE=16384 over "$below" "$folder/mean" || die "the mean over ${below:-glibc}"
  done < <(allocators)
}

# Counted once: by the operators of the program alone, and beside the library.
case_once() {
  build_library
  program once
  ${EMULATOR:-} "$folder/once" || die "counted twice by new_delete.hpp"
  over "" "$folder/once" || die "counted twice under the library"
  "$compiler" "${strict[@]}" -O1 -static -fno-exceptions "$here/once.cpp" -o once_static
  ${EMULATOR:-} ./once_static || die "counted wrongly in a static program"
}

case_linked() {
  program linked
  ${EMULATOR:-} "$folder/linked" || die "a program that includes malloc.hpp"
}

# The rate of the environment, in programs that include a page.
case_rate() {
  local page
  for page in malloc new_delete; do
    ! newer "rate_$page" || "$compiler" "${strict[@]}" -O1 -DPAGE="<whence/$page.hpp>" "$here/rate.cpp" -o "rate_$page"
    WHENCE_HEAP_RATE=4096 ${EMULATOR:-} "./rate_$page" 4096 || die "the environment is not read by $page.hpp"
    ${EMULATOR:-} "./rate_$page" 524288 || die "another rate than the default one with $page.hpp"
  done
}

[ $# -gt 0 ] || set -- exports torture usable peaks deepbind stale failed_new statistics once linked rate
for name in "$@"; do
  "case_$name"
done
echo "preload: $* passed"
