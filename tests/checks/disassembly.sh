#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# With null_registry, tracking_allocator is std::allocator and tracked_mutex<M> is M down to the
# machine code: disassembly.cpp is compiled with either, and every function of the two objects has
# to be the same instructions, relocations included. Names differ only by these types, which are
# replaced first. The script also prints how long the default registry's code is; that figure has no
# limit.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

compile() {  # compiler, allocator type, object, template of M that is a mutex
  "$1" -std=c++20 -O2 -DNDEBUG -ffunction-sections -I"$here/../../include" "-DALLOCATOR=$2" \
    -include "$work/mutexes.hpp" "-DMUTEX=$4" -c "$here/disassembly.cpp" -o "$3"
}
cat >"$work/mutexes.hpp" <<'END'
#include <whence/mutex.hpp>
template <class M> using plain_mutex = M;
template <class M> using null_mutex = whence::tracked_mutex<M, whence::null_registry>;
template <class M> using default_mutex = whence::tracked_mutex<M>;
END

# One line an instruction, without addresses; functions in the order of their names.
listing() {
  objdump -dr -C --no-show-raw-insn "$1" |
    sed -E -e 's/whence::v1::tracking_allocator<int, whence::v1::null_registry(, std::allocator<int> ?)?>/std::allocator<int>/g' \
      -e 's/std::allocator<int> >/std::allocator<int>>/g' \
      -e 's/whence::v1::tracked_mutex<(std::[a-z_]+), whence::v1::null_registry>/\1/g' \
      -e 's/(std::(shared_timed_)?mutex) >/\1>/g' \
      -e 's/^ +[0-9a-f]+:\t//' -e 's/^\t+[0-9a-f]+: /  /' -e 's/^[0-9a-f]+ <(.*)>:$/== \1/' \
      -e 's/ +$//' |
    awk '/^== / { name = $0; order = 0 } name != "" && NF && !/^Disassembly/ { printf "%s\t%06d\t%s\n", name, order++, $0 }' |
    LC_ALL=C sort | cut -f 3-
}

# Counts up to the first return or jump out of the hot section, and in all.
instructions() {  # object, function
  objdump -d -C --no-show-raw-insn "$1" | awk -v head="<$2(" '
    /^Disassembly of section/ { cold = /unlikely/ }
    /^[0-9a-f]+ </ { inside = !cold && index($0, head) > 0 }
    inside && /^ +[0-9a-f]+:/ && !/nop|xchg +%ax,%ax|int3|data16/ {
      all++
      if (!ended) first++
      if ($2 ~ /^(ret|retq|jmp|b)$/) ended = 1
    }
    END { printf "%d (%d in all)", first, all }'
}

failures=0
compared=0
for compiler in g++ clang++; do
  command -v "$compiler" >/dev/null || continue
  null='whence::tracking_allocator<int, whence::null_registry>'
  compile "$compiler" 'std::allocator<int>' "$work/std.o" plain_mutex
  compile "$compiler" "$null" "$work/null.o" null_mutex
  compile "$compiler" 'whence::tracking_allocator<int>' "$work/default.o" default_mutex
  listing "$work/std.o" >"$work/std.txt"
  listing "$work/null.o" >"$work/null.txt"

  # The comparison is meaningful only if it has compared these functions.
  for function in push_back resize allocate deallocate under_lock try_under_lock read_shared lock_both; do
    grep -q "^== .*\b$function(" "$work/std.txt" || { echo "disassembly: $function is not there" >&2; exit 1; }
  done
  if diff -u "$work/std.txt" "$work/null.txt" >"$work/difference"; then
    echo "$compiler: null_registry is std in $(grep -c '^==' "$work/std.txt") functions, $(wc -l <"$work/std.txt") lines"
  else
    head -n 60 "$work/difference" >&2
    failures=$((failures + 1))
  fi
  if diff -q "$work/std.txt" <(listing "$work/default.o") >/dev/null; then
    echo "disassembly: $compiler: the default registry has the code of std too" >&2
    failures=$((failures + 1))
  fi
  for function in allocate deallocate under_lock; do
    printf '%s: %-10s  std %s, default registry %s instructions\n' "$compiler" "$function" \
      "$(instructions "$work/std.o" $function)" "$(instructions "$work/default.o" $function)"
  done
  compared=$((compared + 1))
done

[ "$compared" -gt 0 ] || { echo "disassembly: no compiler found" >&2; exit 1; }
if [ "$failures" -gt 0 ]; then
  echo "disassembly: $failures differences" >&2
  exit 1
fi
echo "disassembly: the same with $compared compilers"
