// SPDX-License-Identifier: Apache-2.0
//
// Hundreds of distinct functions that call each other along a path: frames of many sizes, with and
// without pushes, grown by alloca, behind virtual calls and std::function. The program and a
// library include it, and each gets its own functions.
#ifndef WHENCE_BENCH_CAPTURE_FRAMES_HPP
#define WHENCE_BENCH_CAPTURE_FRAMES_HPP

#include <array>
#include <cstddef>
#include <functional>
#include <utility>

struct descent;
using level = void (*)(descent&);

// A way down: which function is called at each depth, and what happens at its end.
struct descent {
  const level* next;
  const level* end;
  void (*leaf)(void*);
  void* argument;

  void on() {
    if (next == end) {
      leaf(argument);
    } else {
      (*next++)(*this);
    }
  }
};

namespace {

struct step {
  virtual ~step() = default;
  virtual void take(descent& d) const { d.on(); }
};

template <int N>
[[gnu::noinline]] void frame(descent& d) {
  constexpr int shape = N % 8;
  if constexpr (shape < 4) {
    volatile char room[32 + 61 * (N % 16)];
    room[0] = 1;
    d.on();
    static_cast<void>(room[0]);
  } else if constexpr (shape == 4) {
    auto* const grown = static_cast<volatile char*>(
        __builtin_alloca(16 + (reinterpret_cast<std::size_t>(d.next) & 15)));
    grown[0] = 1;
    d.on();
    static_cast<void>(grown[0]);
  } else if constexpr (shape == 5) {
    const step s;
    const step* volatile behind = &s;
    behind->take(d);
    asm volatile("" ::: "memory");
  } else if constexpr (shape == 6) {
    const std::function<void(descent&)> f = [](descent& to) {
      to.on();
      asm volatile("" ::: "memory");
    };
    f(d);
    asm volatile("" ::: "memory");
  } else {
    // Values that live across the call in pushed registers.
    int a = N, b = N + 1, c = N + 2, e = N + 3, g = N + 4;
    asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(e), "+r"(g));
    d.on();
    asm volatile("" ::"r"(a + b), "r"(c + e), "r"(g));
  }
}

template <int... N>
constexpr std::array<level, sizeof...(N)> all_frames(std::integer_sequence<int, N...>) {
  return {&frame<N>...};
}

}  // namespace

#endif  // WHENCE_BENCH_CAPTURE_FRAMES_HPP
