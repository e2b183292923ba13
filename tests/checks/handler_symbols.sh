#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks what our signal handlers call outside of our headers: an object file with that path alone
# is compiled, and every symbol it leaves undefined has to be in the list, with its reason. A
# missing one (malloc, a lock, __tls_get_addr, _Unwind_Backtrace) is how profilers kill their hosts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
compiler="${CXX:-g++}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

# Async-signal-safe by POSIX.1-2017 section 2.4.3, by signal-safety(7), or by what they are.
allowed="
  memcpy memmove memset memcmp bcmp            (signal-safety(7))
  clock_gettime                                (signal-safety(7))
  getpid gettid pthread_self                   without state
  syscall process_vm_readv mmap munmap         system calls; errno is kept
  __errno_location                             this thread's errno: an address
  _dl_find_object                              glibc manual: async-signal-safe
  __libc_stack_end                             a variable of the loader's
  _GLOBAL_OFFSET_TABLE_                        the linker's
  whence_recording                             this module's table of functions: an address
"

cat >"$folder/handler.cpp" <<'CODE'
#include <whence/unwind/capture.hpp>

// What a handler has: an unwinder, and the context.
extern "C" int walk_from_handler(whence::unwind::unwinder& u, const ucontext_t& c,
                                 std::uintptr_t* pcs, std::size_t capacity) {
  whence::unwind::trace t{pcs, capacity};
  return static_cast<int>(whence::unwind::capture_context(u, t, c));
}

extern "C" int walk_here(whence::unwind::unwinder& u, std::uintptr_t* pcs, std::size_t capacity) {
  whence::unwind::trace t{pcs, capacity};
  return static_cast<int>(whence::unwind::capture(u, t, __builtin_return_address(0)));
}
CODE

cat >>"$folder/handler.cpp" <<'CODE'
#include <whence/samplers/cpu_sampler.hpp>
#include <whence/samplers/wall_sampler.hpp>

// The samplers' part of the handler of SIGPROF: the stack, the labels, the table.
extern "C" bool take_cpu(whence::state::process_state& s, const siginfo_t& i, const ucontext_t& c) {
  return whence::samplers::cpu_sampler::handle_signal(s, i, c);
}
extern "C" bool take_wall(whence::state::process_state& s, const siginfo_t& i, const ucontext_t& c) {
  return whence::samplers::wall_sampler::handle_signal(s, i, c);
}
CODE

failures=0
for flags in "-O2" "-O0" "-O2 -fPIC"; do
  "$compiler" -std=c++20 -fno-exceptions -ffunction-sections -fdata-sections $flags -Iinclude \
    -c "$folder/handler.cpp" -o "$folder/handler.o"
  mapfile -t undefined < <(python3 tests/checks/reachable_symbols.py "$folder/handler.o" \
    walk_from_handler walk_here take_cpu take_wall)
  [ "${#undefined[@]}" -gt 3 ] || { echo "handler_symbols: nothing was compiled" >&2; exit 1; }
  for symbol in "${undefined[@]}"; do
    if ! grep -Eq "(^|[[:space:]])$symbol([[:space:]]|$)" <<<"$allowed"; then
      echo "handler_symbols: with $flags a handler may call $(c++filt "$symbol")" >&2
      failures=$((failures + 1))
    fi
  done
  echo "handler_symbols: $compiler $flags: ${undefined[*]}"
done
# Tests the test: a forbidden call is found, even if it is reached indirectly.
cat >"$folder/bad.cpp" <<'CODE'
extern "C" void* malloc(decltype(sizeof 0));
void* (*pointer)(decltype(sizeof 0)) = &malloc;
[[gnu::noinline]] void* further() { return pointer(1); }
extern "C" void* walk_from_handler() { return further(); }
extern "C" void* elsewhere() { return malloc(1); }
CODE
"$compiler" -O1 -ffunction-sections -fdata-sections -c "$folder/bad.cpp" -o "$folder/bad.o"
python3 tests/checks/reachable_symbols.py "$folder/bad.o" walk_from_handler | grep -x malloc >/dev/null ||
  { echo "handler_symbols: malloc is not found" >&2; exit 1; }
! grep -Eqw malloc <<<"$allowed"

[ "$failures" -eq 0 ] || exit 1
echo "handler_symbols: nothing but what a handler may call"
