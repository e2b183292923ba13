// SPDX-License-Identifier: Apache-2.0
//
// What it costs to take a stack, compared with other stack walkers. Every cell is the median over
// rounds; each round runs the methods in another order, because a method that runs after a slow one
// finds the caches cold and is charged for it.
//
//   repeated   the same stack again and again           steady    the method itself ran just before
//   random     400 stacks, each taken once              polluted  other code just ran: sorting,
//                                                                 printing, 64 KiB of data
//   leaf       one stack whose upper five frames vary
//
// bench_capture_depth [rounds]. Peers are loaded if they are installed: linking libunwind would
// replace libgcc. The walk by frame pointers is this file built with them.
#include <dlfcn.h>
#include <execinfo.h>
#include <unwind.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "capture_frames.hpp"
#include <whence/unwind/capture.hpp>

#if __has_include(<libunwind.h>)
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#define WHENCE_BENCH_LIBUNWIND 1
#endif

extern "C" const level* library_frames(std::size_t* count);

namespace {

constexpr int most = 160;
using addresses = std::array<void*, most>;

// ---- the methods: each fills `to` and yields how many frames it saw
// ------------------------------

constinit whence::sys::memory_budget budget{std::size_t{64} << 20};
constinit whence::sys::arena arena{budget};
constinit whence::unwind::unwinder::storage storage{};
constinit whence::unwind::unwinder unwinder{storage, arena};

[[gnu::noinline]] int by_whence(addresses& to) {
  whence::unwind::trace t{reinterpret_cast<std::uintptr_t*>(to.data()), to.size()};
  whence::unwind::capture(unwinder, t, __builtin_return_address(0));
  return static_cast<int>(t.depth);
}

struct backtrace_state {
  void** at;
  void** end;
};
int by_libgcc(addresses& to) {
  backtrace_state s{to.data(), to.data() + to.size()};
  _Unwind_Backtrace(
      [](_Unwind_Context* c, void* argument) {
        auto& state = *static_cast<backtrace_state*>(argument);
        *state.at++ = reinterpret_cast<void*>(_Unwind_GetIP(c));
        return state.at == state.end ? _URC_END_OF_STACK : _URC_NO_REASON;
      },
      &s);
  return static_cast<int>(s.at - to.data());
}

int by_glibc(addresses& to) {
  return ::backtrace(to.data(), most);
}

[[gnu::noinline, maybe_unused]] int by_frame_pointers(addresses& to) {
  auto* frame = static_cast<void**>(__builtin_frame_address(0));
  int n = 0;
  while (n < most && frame[1] != nullptr) {
    to[static_cast<std::size_t>(n++)] = frame[1];
    auto* const next = static_cast<void**>(*frame);
    // The walk ends at code without frame pointers: here that is libc, below main.
    if (next <= frame || next - frame > 4096) break;
    frame = next;
  }
  return n;
}

template <class F>
F* loaded(const char* library, const char* symbol) {
  void* const handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  return handle == nullptr ? nullptr : reinterpret_cast<F*>(::dlsym(handle, symbol));
}

int (*const unwind_backtrace)(void**, int) = loaded<int(void**, int)>("libunwind.so.8",
                                                                      "unw_backtrace");
int by_unw_backtrace(addresses& to) {
  return unwind_backtrace(to.data(), most);
}

#if WHENCE_BENCH_LIBUNWIND
auto* const cursor_init =
    loaded<int(unw_cursor_t*, unw_context_t*)>("libunwind.so.8", "_ULx86_64_init_local");
auto* const cursor_step = loaded<int(unw_cursor_t*)>("libunwind.so.8", "_ULx86_64_step");
auto* const cursor_get =
    loaded<int(unw_cursor_t*, unw_regnum_t, unw_word_t*)>("libunwind.so.8", "_ULx86_64_get_reg");
auto* const context_get = loaded<int(unw_context_t*)>("libunwind.so.8", "_Ux86_64_getcontext");
int by_unw_step(addresses& to) {
  unw_context_t context;
  unw_cursor_t cursor;
  context_get(&context);
  cursor_init(&cursor, &context);
  int n = 0;
  while (n < most && cursor_step(&cursor) > 0) {
    unw_word_t pc = 0;
    cursor_get(&cursor, UNW_REG_IP, &pc);
    to[static_cast<std::size_t>(n++)] = reinterpret_cast<void*>(pc);
  }
  return n;
}
#endif

int (*const gperftools_trace)(void**, int,
                              int) = loaded<int(void**, int, int)>("libprofiler.so.0",
                                                                   "_Z13GetStackTracePPvii");
int by_gperftools(addresses& to) {
  return gperftools_trace(to.data(), most, 0);
}

struct method {
  const char* name;
  int (*take)(addresses&);
};

std::vector<method> methods() {
#ifdef WHENCE_BENCH_FRAME_POINTERS
  return {{"frame pointers", &by_frame_pointers}};
#else
  std::vector<method> all{{"whence", &by_whence}, {"libgcc", &by_libgcc}, {"backtrace", &by_glibc}};
  if (unwind_backtrace != nullptr) all.push_back({"unw_backtrace", &by_unw_backtrace});
#if WHENCE_BENCH_LIBUNWIND
  if (cursor_init != nullptr && cursor_step != nullptr && cursor_get != nullptr &&
      context_get != nullptr)
    all.push_back({"unw_step", &by_unw_step});
#endif
  if (gperftools_trace != nullptr) all.push_back({"gperftools", &by_gperftools});
  return all;
#endif
}

// ---- the stacks
// ----------------------------------------------------------------------------------

using path = std::vector<level>;

class paths {
 public:
  paths() {
    static constexpr auto own = all_frames(std::make_integer_sequence<int, 400>{});
    std::size_t count = 0;
    const level* const library = library_frames(&count);
    all_.assign(own.begin(), own.end());
    all_.insert(all_.end(), library, library + count);
  }

  // `depth` functions; some make two frames, and main and this file add five more.
  path random(int depth) {
    path p;
    for (int i = 0; i < depth; ++i) p.push_back(one());
    return p;
  }
  level one() { return all_[random_() % all_.size()]; }

 private:
  std::minstd_rand random_{11};
  std::vector<level> all_;
};

void descend(const path& p, void (*leaf)(void*), void* argument) {
  descent d{p.data(), p.data() + p.size(), leaf, argument};
  d.on();
  asm volatile("" ::: "memory");
}

// ---- timing
// --------------------------------------------------------------------------------------

std::uint64_t now() {
  unsigned processor;
  return __rdtscp(&processor);
}

double ticks_per_ns() {
  const auto started = std::chrono::steady_clock::now();
  const std::uint64_t from = now();
  while (std::chrono::steady_clock::now() - started < std::chrono::milliseconds(50)) {
  }
  const std::uint64_t to = now();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - started;
  return static_cast<double>(to - from) / took.count();
}

std::uint64_t timer_cost() {
  std::uint64_t least = ~std::uint64_t{0};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t from = now();
    least = std::min(least, now() - from);
  }
  return least;
}

// Simulates what precedes an event of a real program: other code, other data.
void pollute() {
  static std::vector<std::uint32_t> data(16'384);
  static std::minstd_rand random{3};
  for (std::uint32_t& d : data) d = static_cast<std::uint32_t>(random());
  std::sort(data.begin(), data.begin() + 1000);
  char text[64];
  std::snprintf(text, sizeof text, "%u %f", data[0], static_cast<double>(data[1]));
}

struct measurement {
  int (*take)(addresses&);
  bool polluted;
  int times;  // captures of one stack
  std::uint64_t overhead;
  std::uint64_t ticks = 0;
  long captures = 0;
  long frames = 0;
};

void measure(void* argument) {
  auto& m = *static_cast<measurement*>(argument);
  addresses to;
  if (m.times > 1 && !m.polluted) {  // long enough to be timed as a whole
    m.take(to);
    m.take(to);
    const std::uint64_t from = now();
    for (int i = 0; i < m.times; ++i) m.frames += m.take(to);
    m.ticks += now() - from;
    m.captures += m.times;
    return;
  }
  for (int i = 0; i < m.times; ++i) {
    if (m.polluted) pollute();
    const std::uint64_t from = now();
    const int frames = m.take(to);
    const std::uint64_t took = now() - from;
    m.ticks += took > m.overhead ? took - m.overhead : 0;
    m.frames += frames;
    ++m.captures;
  }
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct cell {
  std::vector<double> per_capture, per_frame, frames;
};

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
  if (!unwinder.find_modules()) return 1;
  const std::vector<method> all = methods();
  const double scale = ticks_per_ns();
  const std::uint64_t overhead = timer_cost();
  std::mt19937 order{17};
  paths source;

  std::printf("| stacks | functions | frames |");
  for (const method& m : all) std::printf(" %s |", m.name);
  std::printf("\n|---|---|---|");
  for (std::size_t i = 0; i < all.size(); ++i) std::printf("---|");
  std::printf("\n");
  for (const char* kind : {"repeated", "random", "leaf"}) {
    for (const bool polluted : {false, true}) {
      for (const int depth : {5, 10, 20, 50, 100}) {
        std::vector<path> stacks;
        const path base = source.random(depth);
        const int variants = std::string(kind) == "repeated" ? 1 : 400;
        for (int i = 0; i < variants; ++i) {
          path p = std::string(kind) == "random" ? source.random(depth) : base;
          if (std::string(kind) == "leaf") {
            for (std::size_t k = 0; k < 5 && k < p.size(); ++k) p[p.size() - 1 - k] = source.one();
          }
          stacks.push_back(p);
        }
        std::map<std::string, cell> cells;
        for (int round = 0; round < rounds; ++round) {
          std::vector<method> shuffled = all;
          std::shuffle(shuffled.begin(), shuffled.end(), order);
          for (const method& method : shuffled) {
            const bool one = stacks.size() == 1;
            measurement m{method.take, polluted, one ? (polluted ? 20 : 400) : 1, overhead};
            measurement warm = m;
            warm.polluted = false;
            for (const path& p : stacks) descend(p, &measure, &warm);
            for (const path& p : stacks) descend(p, &measure, &m);
            const double ns = static_cast<double>(m.ticks) / scale;
            cells[method.name].per_capture.push_back(ns / static_cast<double>(m.captures));
            cells[method.name].per_frame.push_back(ns / static_cast<double>(m.frames));
            cells[method.name].frames.push_back(static_cast<double>(m.frames) /
                                                static_cast<double>(m.captures));
          }
        }
        std::printf("| %s, %s | %d | %.0f |", kind, polluted ? "polluted" : "steady", depth,
                    median(cells[all[0].name].frames));
        const double ours = median(cells[all[0].name].per_capture);
        for (const method& m : all) {
          const double ns = median(cells[m.name].per_capture);
          std::printf(" %.0f / %.1f", ns, median(cells[m.name].per_frame));
          if (&m != &all[0]) std::printf(" (%.1fx)", ns / ours);
          std::printf(" |");
        }
        std::printf("\n");
        std::fflush(stdout);
      }
    }
  }
  std::printf("\nns a capture / ns a frame (times ours), medians of %d rounds in shuffled order\n",
              rounds);
}
