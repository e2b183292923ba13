// SPDX-License-Identifier: Apache-2.0
//
// All functions of malloc's family at once, from four threads and a child of fork, over memory that
// the threads hand to each other. Each block's contents, alignment and usable size are checked.
// With the library preloaded it also checks what is in use by the profile against its own count:
//
//   torture [SECONDS]       0 if nothing is wrong; prints own count and the profile's
//
// At rate 1 the two must be equal to the byte. At rate R the profile's value is a sum of
// independent blocks, each there with probability p = 1 - exp(-S/R) and then counted S/p: the
// variance is the sum of S^2 (1-p)/p. The bound is 5 standard deviations, which a right
// implementation misses once in two million runs.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <thread>

namespace {

using heap_function = void(std::int64_t (&sums)[4]);
heap_function* const heap = reinterpret_cast<heap_function*>(::dlsym(RTLD_DEFAULT, "test_heap"));

std::atomic<int> mistakes{0};
void fail(const char* what, std::size_t bytes) {
  if (mistakes.fetch_add(1) < 10) std::fprintf(stderr, "torture: %s, %zu bytes\n", what, bytes);
}

struct block {
  unsigned char* at = nullptr;
  std::size_t bytes = 0;
  unsigned char mark = 0;
};

class xorshift {
 public:
  explicit xorshift(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  std::size_t below(std::size_t n) { return next() % n; }

 private:
  std::uint64_t state_;
};

constexpr int thread_count = 4;
constexpr int slots = 600;            // a thread
std::atomic<block*> exchange[slots];  // blocks on their way to another thread

void check(const block& b) {
  for (std::size_t i = 0; i < b.bytes; i += b.bytes < 256 ? 1 : 97) {
    if (b.at[i] != b.mark) return fail("contents", b.bytes);
  }
}

std::size_t some_size(xorshift& r) {
  switch (r.below(16)) {
    case 0:
      return r.below(300'000);
    case 1:
      return 4096 * r.below(4);
    case 2:
    case 3:
      return r.below(9000);
    default:
      return r.below(300);
  }
}

block make(xorshift& r) {
  block b;
  b.bytes = some_size(r);
  b.mark = static_cast<unsigned char>(r.next());
  std::size_t alignment = std::size_t{8} << r.below(11);
  void* p = nullptr;
  errno = 7;
  switch (r.below(9)) {
    case 0:
      p = ::calloc(b.bytes / 7 + 1, 7);
      b.bytes = b.bytes / 7 * 7 + 7;
      for (std::size_t i = 0; p != nullptr && i < b.bytes; ++i) {
        if (static_cast<unsigned char*>(p)[i] != 0) fail("calloc is not zero", b.bytes);
      }
      alignment = 16;
      break;
    case 1:
      if (::posix_memalign(&p, alignment, b.bytes) != 0) fail("posix_memalign", b.bytes);
      break;
    case 2:
      b.bytes = b.bytes / alignment * alignment;
      p = ::aligned_alloc(alignment, b.bytes);
      break;
    case 3:
      p = ::memalign(alignment, b.bytes);
      break;
    case 4:
      p = ::valloc(b.bytes);
      alignment = 4096;
      break;
    case 5:
      p = ::realloc(::malloc(r.below(2000)), b.bytes + 1);
      b.bytes += 1;
      alignment = 16;
      break;
    case 6:
      p = ::operator new (b.bytes, std::align_val_t{alignment});
      break;
    case 7:
      p = ::operator new(b.bytes);
      alignment = 16;
      break;
    default:
      p = ::malloc(b.bytes);
      alignment = 16;
  }
  if (p == nullptr && b.bytes != 0) fail("nullptr", b.bytes);
  if (errno != 7) fail("errno", b.bytes);
  if (b.bytes >= alignment && reinterpret_cast<std::uintptr_t>(p) % alignment != 0) {
    fail("alignment", b.bytes);
  }
  if (p != nullptr && ::malloc_usable_size(p) < b.bytes) fail("usable size", b.bytes);
  b.at = static_cast<unsigned char*>(p);
  if (p != nullptr) ::memset(p, b.mark, b.bytes);
  return b;
}

void end(block& b, xorshift& r) {
  check(b);
  errno = 9;
  if (r.below(8) == 0 && b.at != nullptr) {
    const std::size_t bytes = some_size(r) + 1;
    auto* const p = static_cast<unsigned char*>(::realloc(b.at, bytes));
    if (p == nullptr) return fail("realloc", bytes);
    b.at = p;
    if (bytes < b.bytes) b.bytes = bytes;
    check(b);
  }
  if (r.below(2) == 0) {
    ::operator delete(b.at);
  } else {
    ::free(b.at);
  }
  if (errno != 9) fail("errno of free", b.bytes);
  b = {};
}

struct worker {
  block own[slots];
  xorshift random;
  explicit worker(std::uint64_t seed) : random(seed) {}

  void run(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      block& b = own[random.below(slots)];
      if (b.at != nullptr) {
        end(b, random);
      } else {
        b = make(random);
      }
      if (i % 8 == 0) hand_over(own[random.below(slots)]);
    }
  }

  void hand_over(block& b) {
    auto* const mine = static_cast<block*>(::malloc(sizeof(block)));
    *mine = b;
    b = {};
    block* const other = exchange[random.below(slots)].exchange(mine);
    if (other == nullptr) return;
    b = *other;
    ::free(other);
  }

  void free_all() {
    for (block& b : own) end(b, random);
  }
};

struct amount {
  double bytes = 0, variance = 0;
  void add(std::size_t size, double rate) {
    const auto s = static_cast<double>(size);
    bytes += s;
    if (size > 0 && rate > 1) variance += s * s * std::exp(-s / rate) / -std::expm1(-s / rate);
  }
};

double rate() {
  const char* const text = std::getenv("WHENCE_HEAP_RATE");
  return text == nullptr ? 524288 : std::atof(text);
}

// Compares what the profile has gained since `before` with what is alive.
void compare(worker* const* workers, const std::int64_t (&before)[4], const char* where) {
  if (heap == nullptr) return;
  amount alive;
  for (int i = 0; i < thread_count; ++i) {
    for (const block& b : workers[i]->own) alive.add(b.bytes, rate());
  }
  for (const auto& e : exchange) {
    if (const block* const b = e.load()) {
      alive.add(sizeof *b, rate());
      alive.add(b->bytes, rate());
    }
  }
  std::int64_t now[4];
  heap(now);
  const auto found = static_cast<double>(now[3] - before[3]);
  std::printf("torture: rate %.0f, %s: own count %.0f bytes, the profile has %.0f\n", rate(), where,
              alive.bytes, found);
  if (rate() == 0) {
    if (now[1] != 0) fail("recorded at rate 0", 0);
  } else if (std::abs(found - alive.bytes) > 5 * std::sqrt(alive.variance) + 1) {
    fail("the profile's bytes in use", static_cast<std::size_t>(alive.bytes));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 60'000;
  static worker w0(1), w1(2), w2(3), w3(4);
  worker* const workers[]{&w0, &w1, &w2, &w3};
  std::int64_t before[4]{};
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  // The first run leaves what libraries keep for each thread; the second is compared.
  for (int run = 0; run < 2; ++run) {
    if (heap != nullptr) heap(before);
    std::thread threads[thread_count];
    for (int i = 0; i < thread_count; ++i) {
      threads[i] = std::thread([&, i] { workers[i]->run(rounds); });
    }
    for (std::thread& t : threads) t.join();
    if (run == 1) {
      std::fflush(stdout);
      // A child's profile is the parent's at the fork and its own.
      const ::pid_t child = ::fork();
      if (child == 0) {
        workers[0]->run(rounds / 4);
        compare(workers, before, "in a child");
        ::_exit(mistakes.load() != 0);
      }
      compare(workers, before, "in the parent");
      int status = 1;
      ::waitpid(child, &status, 0);
      if (status != 0) fail("the child", 0);
    }
    for (worker* const w : workers) w->free_all();
    for (auto& e : exchange) {
      if (block* const b = e.exchange(nullptr)) {
        end(*b, w0.random);
        ::free(b);
      }
    }
  }
  if (heap != nullptr) {
    std::int64_t after[4];
    heap(after);
    if (rate() == 1 && after[3] != before[3]) {
      fail("bytes left over", static_cast<std::size_t>(after[3] - before[3]));
    }
  }
  return mistakes.load() != 0;
}
