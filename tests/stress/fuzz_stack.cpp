// SPDX-License-Identifier: Apache-2.0
//
// Walks from made-up registers over a damaged copy of a real stack, which lies between two pages
// that cannot be read. For any words, capture_context has to come back, with at most as many frames
// as there is room for. Undamaged, the copy has to give the frames of the original.
//
// fuzz_stack [--seconds N | --runs N] [--seed N] [--first RUN]
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>

#include "fuzz.hpp"
#include "load.hpp"
#include "walkers.hpp"
#include <whence/sys/arena.hpp>
#include <whence/sys/pages.hpp>
#include <whence/unwind/capture.hpp>

namespace {

namespace unwind = whence::unwind;
using stress::stack;

constinit whence::sys::memory_budget budget{std::size_t{64} << 20};
constinit whence::sys::arena arena{budget};
constinit unwind::unwinder::storage storage{};
constinit unwind::unwinder unwinder{storage, arena};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::abort();
}

struct machine_registers {
#if defined(__x86_64__)
  static constexpr int count = REG_RIP + 1;
  static constexpr int pc = REG_RIP, sp = REG_RSP, fp = REG_RBP;
  static auto* of(ucontext_t& c) noexcept {
    return c.uc_mcontext.gregs;
  }
#else
  static constexpr int count = 33;  // x0 to x30, sp, pc: one after the other in mcontext_t
  static constexpr int pc = 32, sp = 31, fp = 29;
  static auto* of(ucontext_t& c) noexcept {
    return c.uc_mcontext.regs;
  }
#endif
};

void set(ucontext_t& c, int which, std::uintptr_t value) noexcept {
  auto& r = machine_registers::of(c)[which];
  r = static_cast<std::remove_reference_t<decltype(r)>>(value);
}
std::uintptr_t get(ucontext_t& c, int which) noexcept {
  return static_cast<std::uintptr_t>(machine_registers::of(c)[which]);
}

unwind::stop_reason walk(const ucontext_t& c, stack& out) {
  unwind::trace t{out.pcs, stack::capacity};
  const unwind::stop_reason end = unwind::capture_context(unwinder, t, c);
  if (t.depth > stack::capacity) fail("more frames than room");
  if (t.truncated && t.depth < stack::capacity) fail("a trace with room left is truncated");
  out.depth = t.depth;
  return end;
}

// ---- the original

struct original {
  ucontext_t context;
  std::uintptr_t sp = 0;
  std::vector<std::uintptr_t> words;  // from sp on
  stack frames{};
};
original taken;
std::uintptr_t top = 0;  // end of the copied stack

// Runs in a handler, so that a signal frame is part of the damaged stack.
void take_original(int, siginfo_t*, void*) {
  ::getcontext(&taken.context);
  taken.sp = get(taken.context, machine_registers::sp);
  taken.words.resize(std::min((top - taken.sp) / sizeof(std::uintptr_t), taken.words.capacity()));
  for (std::size_t i = 0; i < taken.words.size(); ++i) {
    taken.words[i] = unwind::load_word(taken.sp + i * sizeof(std::uintptr_t));
  }
  walk(taken.context, taken.frames);
}

int compare_and_take(const void* a, const void* b) {
  if (taken.sp == 0) ::raise(SIGUSR2);
  return stress::compare_by_callback(a, b);
}

[[gnu::noinline]] std::uint64_t grow(int depth) {
  if (depth > 0) {
    auto* const some = static_cast<volatile char*>(alloca(16 + static_cast<std::size_t>(depth)));
    some[0] = 1;
    return grow(depth - 1) + static_cast<std::uint64_t>(some[0]);
  }
  std::uint64_t numbers[8] = {3, 1, 2};
  std::qsort(numbers, 8, sizeof *numbers, compare_and_take);
  return numbers[0];
}

// ---- the damage

class patient {
 public:
  patient() : memory_(taken.words.size() * sizeof(std::uintptr_t)) {
    base_ = reinterpret_cast<std::uintptr_t>(memory_.end()) -
            taken.words.size() * sizeof(std::uintptr_t);
    base_ -= (base_ - taken.sp) % 16;  // some code aligns its stack pointer
    restore();
  }

  void check_undamaged() {
    ucontext_t c = taken.context;
    for (int i = 0; i < machine_registers::count; ++i) set(c, i, moved(get(c, i)));
    const unwind::stop_reason end = walk(c, out_);
    if (end != unwind::stop_reason::root || out_.depth != taken.frames.depth ||
        std::memcmp(out_.pcs, taken.frames.pcs, out_.depth * sizeof *out_.pcs) != 0) {
      std::fprintf(stderr, "%zu frames of %zu, %s\n", out_.depth, taken.frames.depth,
                   unwind::stop_reason_texts[static_cast<int>(end)]);
      fail("the undamaged copy has other frames than the original");
    }
  }

  void damage_and_walk(stress::random_numbers& random) {
    const std::size_t damages = random.below(random.below(4) == 0 ? 200 : 6);
    for (std::size_t i = 0; i < damages; ++i) {
      at(random.below(taken.words.size())) = word(random);
    }
    ucontext_t c = taken.context;
    for (int i = 0; i < machine_registers::count; ++i) set(c, i, moved(get(c, i)));
    // A value as in some frame further up, or an arbitrary one.
    if (random.below(2) == 0) {
      set(c, machine_registers::pc, code(random));
      set(c, machine_registers::sp, on_copy(random));
      set(c, machine_registers::fp, on_copy(random));
    }
    for (std::uint64_t i = random.below(4); i > 0; --i) {
      constexpr int favourites[] = {machine_registers::pc, machine_registers::sp,
                                    machine_registers::fp};
      const auto any = static_cast<int>(random.below(machine_registers::count));
      set(c, random.below(3) == 0 ? any : favourites[random.below(3)], word(random));
    }
    const unwind::stop_reason end = walk(c, out_);
    ++ends[static_cast<int>(end)];
    frames += out_.depth;
    restore();
  }

  std::uint64_t ends[unwind::stop_reason_count] = {};
  std::uint64_t frames = 0;

 private:
  std::uintptr_t& at(std::size_t i) noexcept { return reinterpret_cast<std::uintptr_t*>(base_)[i]; }
  std::uintptr_t moved(std::uintptr_t w) const noexcept {
    return w >= taken.sp && w <= top ? w - taken.sp + base_ : w;
  }
  void restore() {
    for (std::size_t i = 0; i < taken.words.size(); ++i) at(i) = moved(taken.words[i]);
  }

  std::uintptr_t on_copy(stress::random_numbers& random) const noexcept {
    const std::uintptr_t size = taken.words.size() * sizeof(std::uintptr_t);
    const auto live = reinterpret_cast<std::uintptr_t>(&random) & ~std::uintptr_t{7};
    switch (random.below(16)) {
      case 0:
        return base_ + random.below(size);  // not aligned
      case 1:
        return base_ + size - 8 * random.below(4);  // at its end
      case 2:
        return base_ + size + 8 * random.below(600);  // behind it
      case 3:
        return base_ - 8 * random.below(600);  // before it
      case 4:
        return live + 8 * random.below(100);  // on the thread's own stack
      default:
        return base_ + 8 * random.below(size / 8);
    }
  }
  std::uintptr_t code(stress::random_numbers& random) const noexcept {
    const std::uintptr_t pc = taken.frames.pcs[random.below(taken.frames.depth)];
    switch (random.below(6)) {
      case 0:
        return pc + random.below(64) - 32;
      case 1:
        return pc + random.below(1 << 16) - (1 << 15);
      case 2:
        return reinterpret_cast<std::uintptr_t>(&std::printf) + random.below(1 << 20);
      default:
        return pc;
    }
  }
  std::uintptr_t word(stress::random_numbers& random) const noexcept {
    switch (random.below(4)) {
      case 0:
        return static_cast<std::uintptr_t>(stress::odd_number(random));
      case 1:
        return code(random);
      default:
        return on_copy(random);
    }
  }

  stress::fenced_memory memory_;
  std::uintptr_t base_ = 0;
  stack out_{};
};

}  // namespace

int main(int argc, char** argv) {
  const stress::fuzz_options options(argc, argv);
  if (!unwinder.find_modules()) fail("no memory for the unwinder");
  top = stress::own_stack().end;
  taken.words.reserve(std::size_t{1} << 17);  // a handler must not allocate
  struct sigaction action {};
  action.sa_sigaction = take_original;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGUSR2, &action, nullptr);
  stress::keep(grow(40));

  patient p;
  p.check_undamaged();
  std::printf("%zu frames on %zu words, the copy's equal the original's\n", taken.frames.depth,
              taken.words.size());
  const std::uint64_t runs =
      options.loop([&](stress::random_numbers& random) { p.damage_and_walk(random); });
  p.check_undamaged();
  std::printf("%" PRIu64 " walks, %.1f frames each\n", runs,
              static_cast<double>(p.frames) / static_cast<double>(runs ? runs : 1));
  for (int i = 0; i < unwind::stop_reason_count; ++i) {
    std::printf("%10" PRIu64 "  %s\n", p.ends[i], unwind::stop_reason_texts[i]);
  }
  std::printf("passed\n");
  return 0;
}
