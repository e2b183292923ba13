#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compares a dump's stacks of sleeping threads, address by address, with gdb's: `like_gdb.sh FOLDER
# [THREADS [LIBWHENCE]]`. Built with -O2, with -O2 and frame pointers, and with -O0. No stack may be
# wrong or end early, and no call may return. The stacks are the program's: the library may be compiled
# once, as libwhence.a.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
mkdir -p "$1"
work="$(cd "$1" && pwd)"
threads="${2:-56}"
library=()
if [ $# -ge 3 ]; then
  found="$(dirname "$3")/include"
  library=(-DWHENCE_COMPILED -I "$found" "$3")
  ! grep -q 'WITH_ZLIB 1' "$found/whence/config_generated.hpp" || library+=(-lz)
  ! grep -q 'WITH_LIBDW 1' "$found/whence/config_generated.hpp" || library+=(-ldw -lelf)
fi
fail() { echo "FAILED: $*"; exit 1; }

cat >"$work/stacks.py" <<'PY'
import gdb
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame, pcs = gdb.newest_frame(), []
    while frame:
        # Frames that only the debug information knows have no place on the stack.
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            pcs.append(hex(frame.pc()))
        frame = frame.older()
    print("stack", thread.ptid[1], *pcs)
PY

cat >"$work/compare.py" <<'PY'
import sys
ours = {}
for line in open(sys.argv[1]):
    words = line.split()
    if words and words[0].isdigit():
        ours[words[0]] = words[1:]
gdbs = {w[1]: w[2:] for w in map(str.split, open(sys.argv[2])) if w and w[0] == "stack"}
same = early = wrong = 0
for tid, pcs in ours.items():
    theirs = gdbs[tid]
    if pcs == theirs:
        same += 1
    elif len(pcs) < len(theirs) and pcs == theirs[: len(pcs)]:
        early += 1
    else:
        wrong += 1
        print("ours", *pcs, "\ngdb ", *theirs)
print(f"{sys.argv[3]}: {same} stacks are gdb's, {early} end early, {wrong} are wrong")
sys.exit(same != int(sys.argv[4]))
PY

for build in "-O2" "-O2 -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer" "-O0"; do
  # shellcheck disable=SC2086
  "${CXX:-g++}" -std=c++20 -g $build -I "$here/../../include" "$here/sleepers.cpp" -o "$work/sleepers" -pthread \
    "${library[@]}"
  coproc program { exec "$work/sleepers" "$threads" 2>"$work/disturbed"; }
  pid=$program_PID
  exec 3<&"${program[0]}" 4>&"${program[1]}"
  : >"$work/ours"
  while read -r line <&3; do
    [[ $line != ready* ]] || break
    echo "$line" >>"$work/ours"
  done
  gdb -q -batch -p "$pid" -x "$work/stacks.py" >"$work/gdb" 2>"$work/gdb.err" || { cat "$work/gdb.err"; fail gdb; }
  # Calls that gdb's own stop ends do not count: only those that returned before do.
  grep -q '^disturbed 0$' "$work/ours" || { cat "$work/disturbed"; fail "calls were disturbed"; }
  python3 "$work/compare.py" "$work/ours" "$work/gdb" "$build ($(grep ^took "$work/ours"))" "$threads"
  echo >&4
  exec 3<&- 4>&-
  wait "$pid" 2>/dev/null || true
done
