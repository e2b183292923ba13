// SPDX-License-Identifier: Apache-2.0
//
// Shared by the fuzzers: memory with unmapped borders, numbers that break things, and a loop that
// runs for some time or some runs from a fixed seed, so that a failure repeats.
#ifndef WHENCE_TESTS_STRESS_FUZZ_HPP
#define WHENCE_TESTS_STRESS_FUZZ_HPP

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "support/sanitizers.hpp"
#include "thread_timer.hpp"

namespace stress {

// Pages between two that cannot be touched.
class fenced_memory {
 public:
  explicit fenced_memory(std::size_t bytes) : size_((bytes + page - 1) / page * page) {
    void* const p =
        ::mmap(nullptr, size_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) std::abort();
    all_ = static_cast<std::byte*>(p);
    if (::mprotect(all_ + page, size_, PROT_READ | PROT_WRITE) != 0) std::abort();
  }
  ~fenced_memory() { ::munmap(all_, size_ + 2 * page); }
  fenced_memory(const fenced_memory&) = delete;
  fenced_memory& operator=(const fenced_memory&) = delete;

  std::byte* begin() const noexcept { return all_ + page; }
  std::byte* end() const noexcept { return all_ + page + size_; }

 private:
  static constexpr std::size_t page = 4096;
  std::size_t size_;
  std::byte* all_;
};

struct fuzz_options {
  unsigned seconds = 5;
  std::uint64_t runs = 0;  // 0 means until the time is up
  std::uint64_t seed = 1;
  std::uint64_t first = 0;  // run

  fuzz_options(int argc, char** argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
      const std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
      if (std::strcmp(argv[i], "--seconds") == 0) {
        seconds = static_cast<unsigned>(value);
      } else if (std::strcmp(argv[i], "--runs") == 0) {
        runs = value;
      } else if (std::strcmp(argv[i], "--seed") == 0) {
        seed = value;
      } else if (std::strcmp(argv[i], "--first") == 0) {
        first = value;
      } else {
        usage(argv[0]);
      }
    }
    if (argc % 2 == 0) usage(argv[0]);
  }

  // Calls run(random) again and again. A run that crashes or does not end is named.
  template <class Run>
  std::uint64_t loop(Run run) const {
    const std::time_t end = std::time(nullptr) + static_cast<std::time_t>(seconds);
    volatile std::uint64_t done = first;
    current_run = &done;
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM}) {
      if (!sanitized || signal == SIGALRM) ::signal(signal, name_run);
    }
    while (runs == 0 ? done % 256 != 0 || std::time(nullptr) < end : done < first + runs) {
      if (done % 256 == 0) ::alarm(30);
      random_numbers random(seed * 0x9e3779b97f4a7c15 + done);
      random();
      run(random);
      done = done + 1;
    }
    ::alarm(0);
    return done - first;
  }

 private:
  static inline volatile std::uint64_t* current_run = nullptr;

  static void name_run(int signal) {
    char text[80];
    const int n = std::snprintf(text, sizeof text, "FAILED: signal %d in run %" PRIu64 "\n", signal,
                                *current_run);
    if (::write(STDERR_FILENO, text, static_cast<std::size_t>(n)) != n) ::_exit(3);
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }

  [[noreturn]] static void usage(const char* name) {
    std::fprintf(stderr, "usage: %s [--seconds N | --runs N] [--seed N] [--first RUN]\n", name);
    std::exit(2);
  }
};

// Numbers at the edges of a field's range.
inline std::uint64_t odd_number(random_numbers& random) noexcept {
  const std::uint64_t edge = std::uint64_t{1} << random.below(64);
  switch (random.below(6)) {
    case 0:
      return 0;
    case 1:
      return ~std::uint64_t{0} - random.below(64);
    case 2:
      return edge;
    case 3:
      return edge - 1 - random.below(16);
    case 4:
      return random.below(256);
    default:
      return random();
  }
}

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_FUZZ_HPP
