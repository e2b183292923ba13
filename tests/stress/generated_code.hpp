// SPDX-License-Identifier: Apache-2.0
//
// Code as a run-time compiler makes it: without call-frame information, in memory that comes and
// goes, with rbp for a use of its own. What rbp points to looks like a frame: its return address
// may be one in a library that has been unloaded, no code at all, or the frame may be its own
// caller.
#ifndef WHENCE_TESTS_STRESS_GENERATED_CODE_HPP
#define WHENCE_TESTS_STRESS_GENERATED_CODE_HPP

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ground.hpp"
#include "load.hpp"

namespace stress {

// A return address into a library that was unloaded.
inline std::atomic<std::uintptr_t> stale_address{0};

inline std::atomic<std::uint64_t> below_generated{0};  // stacks taken by calls from such code

// Calls a function with any value in rbp.
class generated_code {
 public:
  explicit generated_code(std::size_t offset) {
    static constexpr unsigned char code[] = {
        0x55,                    // push %rbp
        0x48, 0x89, 0xf5,        // mov %rsi,%rbp
        0x48, 0x83, 0xec, 0x10,  // sub $16,%rsp
        0xff, 0xd7,              // call *%rdi
        0x48, 0x83, 0xc4, 0x10,  // add $16,%rsp
        0x5d,                    // pop %rbp
        0xc3,                    // ret
    };
    page_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page_ == MAP_FAILED) std::abort();
    at_ = static_cast<unsigned char*>(page_) + offset % (bytes - sizeof code);
    std::memcpy(at_, code, sizeof code);
    if (::mprotect(page_, bytes, PROT_READ | PROT_EXEC) != 0) std::abort();
  }
  ~generated_code() { ::munmap(page_, bytes); }
  generated_code(const generated_code&) = delete;
  generated_code& operator=(const generated_code&) = delete;

  void call(void (*function)(), const void* rbp) const {
    reinterpret_cast<void (*)(void (*)(), const void*)>(at_)(function, rbp);
  }

 private:
  static constexpr std::size_t bytes = 4096;
  void* page_;
  unsigned char* at_;
};

// Its stack is right as far as the call from the generated code; how it goes on is a guess.
[[gnu::noinline]] inline void called_by_generated_code() {
  static thread_local stack s;
  const void* const caller = __builtin_return_address(0);
  whence::unwind::trace t{s.pcs, stack::capacity};
  (void)whence::unwind::capture(unwinder, t, caller);
  s.depth = t.depth;
  if (s.depth == 0 || s.pcs[0] != reinterpret_cast<std::uintptr_t>(caller)) {
    fail("a stack does not begin in generated code", s, s);
  }
  below_generated.fetch_add(1, std::memory_order_relaxed);
}

inline void below_generated_code(random_numbers& random) {
  const generated_code code(random());
  for (int i = 0; i < 20; ++i) {
    std::uintptr_t frame[4] = {0, stale_address.load(std::memory_order_relaxed), 0, 0};
    const std::size_t kind = random.below(4);
    if (kind == 1) frame[0] = reinterpret_cast<std::uintptr_t>(frame);  // its own caller
    if (kind == 2) frame[1] = random();
    const auto anywhere = reinterpret_cast<const void*>(random() & 0x7ffffffffff8);
    code.call(&called_by_generated_code, kind == 3 ? anywhere : frame);
    asm volatile("" ::"r"(frame) : "memory");
  }
}

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_GENERATED_CODE_HPP
