// SPDX-License-Identifier: Apache-2.0
//
// A bit of everything that programs do, so that samples fall into all kinds of code: templates of
// the standard library, libc's hand-written assembly, callbacks, prologues and epilogues, frames of
// every shape, exceptions on their way, fibres, handlers of other signals, the vDSO.
#ifndef WHENCE_TESTS_STRESS_LOAD_HPP
#define WHENCE_TESTS_STRESS_LOAD_HPP

#include <alloca.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iomanip>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fibre.hpp"
#include "thread_timer.hpp"

namespace stress {

// Results go here, so that the compiler keeps the work.
inline std::atomic<std::uint64_t> kept{0};
inline void keep(std::uint64_t value) noexcept {
  kept.store(value, std::memory_order_relaxed);
}

// ---- the standard library

[[gnu::noinline]] inline void containers(random_numbers& random) {
  std::vector<std::string> words;
  for (int i = 0; i < 300; ++i) {
    words.push_back("word " + std::to_string(random.below(100000)) + " of the load");
  }
  std::sort(words.begin(), words.end());
  std::map<std::string, std::size_t> positions;
  for (const std::string& word : words) positions[word] += words.size();
  std::stable_sort(words.begin(), words.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : b < a;
  });
  std::vector<std::uint64_t> numbers(2000);
  for (std::uint64_t& n : numbers) n = random();
  std::sort(numbers.begin(), numbers.end());
  keep(numbers[17] + positions.size() + words[3].size());
}

[[gnu::noinline]] inline void streams(random_numbers& random) {
  std::ostringstream out;
  for (int i = 0; i < 100; ++i) {
    out << std::setw(12) << random.below(1000000) << ' ' << std::setprecision(9)
        << static_cast<double>(random.below(1000000)) / 7 << std::hex << i << std::dec << '\n';
  }
  std::istringstream in(out.str());
  std::string text;
  std::uint64_t sum = 0;
  while (in >> text) sum += text.size();
  keep(sum);
}

[[gnu::noinline]] inline void regular_expressions(random_numbers& random) {
  static const std::regex pattern("([a-z]+)-([0-9]+)(x|y|z)*@(\\w+)\\.org");
  const std::string text = "some-12xyzzy name-" + std::to_string(random.below(1000)) +
                           "xyz@example.org and more-99@other.org";
  keep(static_cast<std::uint64_t>(std::distance(
      std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator())));
}

// ---- libc

[[gnu::noinline]] inline void byte_functions(random_numbers& random) {
  static thread_local char from[8192], to[8192];
  std::uint64_t sum = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::size_t n = random.below(i % 16 == 0 ? 8000 : 200);
    std::memset(from, static_cast<int>('a' + n % 26), n);
    from[n] = 0;
    std::memcpy(to, from, n + 1);
    std::memmove(to + 3, to, n / 2);
    sum += std::strlen(to) + static_cast<std::size_t>(std::memcmp(from, to, n) != 0);
    sum += std::strchr(to, 'z') != nullptr ? 1 : 0;
    sum += std::strcmp(from, to) > 0 ? 1 : 0;
  }
  keep(sum);
}

[[gnu::noinline]] inline void printed_numbers(random_numbers& random, std::FILE* nowhere) {
  char text[400];
  for (int i = 0; i < 100; ++i) {
    const double d = static_cast<double>(random()) / static_cast<double>(random() | 1);
    std::snprintf(text, sizeof text, "%d %s %08lx %.*g", i, "text", random(), 17, d);
    std::fprintf(nowhere, "%s %f %e %c\n", text, d, d * 1e100, 'x');
    keep(std::bit_cast<std::uint64_t>(std::strtod(text + 20, nullptr)));
  }
}

[[gnu::noinline]] inline void allocations(random_numbers& random) {
  constexpr std::size_t count = 64;
  void* blocks[count] = {};
  for (int i = 0; i < 2000; ++i) {
    void*& block = blocks[random.below(count)];
    const std::size_t size = 1 + random.below(random.below(20) == 0 ? 300000 : 600);
    if (random.below(4) == 0) {
      if (void* const moved = std::realloc(block, size)) block = moved;
    } else {
      std::free(block);
      block = random.below(4) == 0 ? std::calloc(1, size) : std::malloc(size);
    }
  }
  for (void* block : blocks) std::free(block);
}

inline int compare_by_callback(const void* a, const void* b) {
  const auto x = *static_cast<const std::uint64_t*>(a);
  const auto y = *static_cast<const std::uint64_t*>(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

[[gnu::noinline]] inline void callbacks(random_numbers& random) {
  std::uint64_t numbers[600];
  for (std::uint64_t& n : numbers) n = random.below(1000);
  std::qsort(numbers, 600, sizeof *numbers, compare_by_callback);
  const std::uint64_t wanted = 500;
  keep(std::bsearch(&wanted, numbers, 600, sizeof *numbers, compare_by_callback) != nullptr);
}

[[gnu::noinline]] inline void mathematics(random_numbers& random) {
  double sum = 0;
  for (int i = 0; i < 1000; ++i) {
    const double x = static_cast<double>(random.below(1000000)) / 1000;
    sum +=
        std::sin(x) + std::exp(x / 1000) + std::pow(x, 1.7) + std::log1p(x) + std::tgamma(x / 100);
  }
  keep(static_cast<std::uint64_t>(std::fabs(sum)));
}

[[gnu::noinline]] inline void clocks(random_numbers&) {
  timespec t{};
  for (int i = 0; i < 500; ++i) {
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    ::clock_gettime(CLOCK_REALTIME_COARSE, &t);
    if (i % 50 == 0) ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  }
  keep(static_cast<std::uint64_t>(t.tv_nsec));
}

// ---- frames of every shape

// Frames of changing size, some of which only a frame pointer can find the end of, some realigned.
[[gnu::noinline]] inline std::uint64_t recursion(int depth, std::uint64_t salt) {
  if (depth == 0) {
    for (int i = 0; i < 50; ++i) salt = salt * 6364136223846793005u + 1442695040888963407u;
    return salt;
  }
  if (depth % 7 == 0) {
    auto* const some = static_cast<volatile char*>(alloca(32 + salt % 200));
    some[0] = static_cast<char>(salt);
    return recursion(depth - 1, salt + 1) + static_cast<std::uint64_t>(some[0]);
  }
  if (depth % 11 == 0) {
    alignas(64) volatile std::uint64_t aligned[9] = {salt};
    return recursion(depth - 1, salt + 1) + aligned[salt % 9];
  }
  return recursion(depth - 1, salt + 1) * 3 + 1;
}

struct shape {
  virtual ~shape() = default;
  virtual std::uint64_t area(int depth) const = 0;
};
struct square final : shape {
  std::unique_ptr<shape> inner;
  std::uint64_t side = 3;
  std::uint64_t area(int depth) const override {
    return side * side + (inner && depth > 0 ? inner->area(depth - 1) : 0);
  }
};
struct labelled final : shape {
  std::unique_ptr<shape> inner;
  std::string label = "a label that is too long to be held inside of the string";
  std::uint64_t area(int depth) const override {
    const std::string copy = label + "!";
    return copy.size() + (inner && depth > 0 ? inner->area(depth - 1) : 0);
  }
};

[[gnu::noinline]] inline void indirect_calls(random_numbers& random) {
  std::unique_ptr<shape> all = std::make_unique<square>();
  for (int i = 0; i < 30; ++i) {
    if (random.below(2) == 0) {
      auto outer = std::make_unique<square>();
      outer->inner = std::move(all);
      all = std::move(outer);
    } else {
      auto outer = std::make_unique<labelled>();
      outer->inner = std::move(all);
      all = std::move(outer);
    }
  }
  std::function<std::uint64_t(std::uint64_t)> f = [](std::uint64_t x) { return x * 3; };
  for (int i = 0; i < 20; ++i) {
    f = [f, i](std::uint64_t x) { return f(x) + static_cast<std::uint64_t>(i); };
  }
  std::uint64_t sum = 0;
  for (int i = 0; i < 50; ++i) sum += all->area(100) + f(random());
  keep(sum + recursion(static_cast<int>(50 + random.below(250)), random()));
}

// ---- other ways through the stack

struct counted {
  std::string text = "something with a destructor, longer than a short string";
  ~counted() { keep(text.size()); }
};

[[gnu::noinline]] inline std::uint64_t throws(int depth, std::uint64_t salt) {
  const counted local;
  if (depth == 0) throw std::runtime_error("thrown from far below");
  if (depth % 4 == 0) {
    try {
      return throws(depth - 1, salt) + local.text.size();
    } catch (const std::logic_error&) {
      return 0;
    } catch (...) {
      keep(salt);
      throw;
    }
  }
  return throws(depth - 1, salt + 1) + local.text.size();
}

[[gnu::noinline]] inline void exceptions(random_numbers& random) {
  for (int i = 0; i < 10; ++i) {
    try {
      throws(static_cast<int>(2 + random.below(20)), random());
    } catch (const std::exception& e) {
      keep(std::strlen(e.what()));
    }
  }
}

[[gnu::noinline]] inline void far_jump(std::jmp_buf& to, int depth) {
  volatile char some[100];
  some[depth % 100] = 1;
  if (depth == 0) std::longjmp(to, 1);
  if (depth > 0) far_jump(to, depth - 1);
  keep(static_cast<std::uint64_t>(some[0]));
}

[[gnu::noinline]] inline void jump_once(int depth) {
  std::jmp_buf back;
  if (setjmp(back) == 0) far_jump(back, depth);
}

[[gnu::noinline]] inline void jumps(random_numbers& random) {
  for (int i = 0; i < 50; ++i) jump_once(static_cast<int>(random.below(20)));
}

inline void own_handler(int) {
  static thread_local random_numbers random(7);
  std::uint64_t numbers[64];
  for (std::uint64_t& n : numbers) n = random();
  std::sort(numbers, numbers + 64);
  keep(numbers[5] + recursion(20, numbers[0]));
}

[[gnu::noinline]] inline void own_signals(random_numbers&) {
  for (int i = 0; i < 10; ++i) ::raise(SIGUSR1);
}

// ---- fibres

inline constexpr int fibre_pauses = 8;

inline void fibre_body() {
  random_numbers random(reinterpret_cast<std::uintptr_t>(fibre::current));
  for (int i = 0; i < fibre_pauses; ++i) {
    if (i % 4 == 0) callbacks(random);
    keep(recursion(static_cast<int>(random.below(60)), random()));
    fibre::current->pause();
  }
}

[[gnu::noinline]] inline void fibres(random_numbers&) {
  static thread_local fibre two[2];
  for (fibre& f : two) f.start(fibre_body);
  for (int i = 0; i < fibre_pauses; ++i) {
    for (fibre& f : two) f.resume();
  }
}

// ---- all of it

// Called once, before the first load.
inline void install_own_handler() {
  struct sigaction action {};
  action.sa_handler = own_handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &action, nullptr);
}

// Kinds of work, in random turns, each for the same time.
class load {
 public:
  static constexpr int kinds = 14;
  static constexpr const char* names[kinds] = {
      "containers",  "streams", "regex",          "bytes",      "printf", "malloc",  "qsort",
      "mathematics", "clocks",  "indirect calls", "exceptions", "jumps",  "signals", "fibres"};

  explicit load(std::uint64_t seed) : random_(seed), nowhere_(std::fopen("/dev/null", "w")) {}
  ~load() { std::fclose(nowhere_); }
  load(const load&) = delete;
  load& operator=(const load&) = delete;

  // The current kind of work, for handlers.
  int kind() const noexcept { return kind_; }

  void one_step() {
    kind_ = static_cast<int>(random_.below(kinds));
    for (const std::uint64_t end = now_ns() + step_ns; now_ns() < end;) work(kind_);
  }

 private:
  static constexpr std::uint64_t step_ns = 2'000'000;

  static std::uint64_t now_ns() noexcept {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(t.tv_nsec);
  }

  [[gnu::noinline]] void work(int kind) {
    switch (kind) {
      case 0:
        containers(random_);
        break;
      case 1:
        streams(random_);
        break;
      case 2:
        regular_expressions(random_);
        break;
      case 3:
        byte_functions(random_);
        break;
      case 4:
        printed_numbers(random_, nowhere_);
        break;
      case 5:
        allocations(random_);
        break;
      case 6:
        callbacks(random_);
        break;
      case 7:
        mathematics(random_);
        break;
      case 8:
        clocks(random_);
        break;
      case 9:
        indirect_calls(random_);
        break;
      case 10:
        exceptions(random_);
        break;
      case 11:
        jumps(random_);
        break;
      case 12:
        own_signals(random_);
        break;
      default:
        fibres(random_);
        break;
    }
  }

  volatile int kind_ = 0;
  random_numbers random_;
  std::FILE* nowhere_;
};

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_LOAD_HPP
