// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "../own_unwinder.hpp"
#include <whence/sys/safe_read.hpp>
#include <whence/unwind/capture.hpp>
#include <whence/unwind/walk/stack_memory.hpp>

using namespace whence;

namespace {

// Pages; the last one cannot be read.
class guarded_pages {
 public:
  static constexpr std::size_t page = 4096;
  explicit guarded_pages(std::size_t readable) : bytes_((readable + 1) * page) {
    memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory_ != MAP_FAILED);
    REQUIRE(::mprotect(reinterpret_cast<void*>(end()), page, PROT_NONE) == 0);
  }
  ~guarded_pages() { ::munmap(memory_, bytes_); }
  guarded_pages(const guarded_pages&) = delete;
  guarded_pages& operator=(const guarded_pages&) = delete;
  std::uintptr_t begin() const { return reinterpret_cast<std::uintptr_t>(memory_); }
  std::uintptr_t end() const { return begin() + bytes_ - page; }

 private:
  std::size_t bytes_;
  void* memory_;
};

std::uintptr_t here_on_stack() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

}  // namespace

// valgrind answers for the kernel, and reports a query about unmapped memory.
TEST_SUITE_BEGIN("heavy");

TEST_CASE("readable memory is known without reading it") {
  const guarded_pages pages(2);
  CHECK(sys::is_readable(pages.begin()));
  CHECK(sys::is_readable(pages.end() - 8));
  CHECK_FALSE(sys::is_readable(pages.end()));
  CHECK_FALSE(sys::is_readable(0));
  CHECK_FALSE(sys::is_readable(8));
  CHECK_FALSE(sys::is_readable(~std::uintptr_t{7}));
  std::array<char, 32> bytes{};
  CHECK(sys::copy_memory(bytes.data(), pages.end() - 32, 32));
  CHECK_FALSE(sys::copy_memory(bytes.data(), pages.end() - 31, 32));
}

TEST_CASE("an unknown stack grows page by page, up to unreadable memory") {
  const guarded_pages pages(4);
  unwind::stack_memory stack(pages.begin() + 100);
  CHECK(stack.end() == pages.begin() + 4096);
  CHECK(stack.reach(pages.begin() + 4096 + 8));
  CHECK(stack.end() == pages.begin() + 2 * 4096);
  CHECK_FALSE(stack.reach(pages.end() + 8));
  CHECK(stack.end() == pages.end());
  CHECK_FALSE(stack.reach(~std::uintptr_t{7}));
}

TEST_CASE("an unknown stack may have a frame of many megabytes") {
  constexpr std::size_t large = 3000;  // pages
  const guarded_pages pages(large + 2);
  unwind::stack_memory stack(pages.begin());
  CHECK(stack.reach(pages.begin() + large * 4096));
  CHECK(stack.end() == pages.begin() + large * 4096);
}

TEST_SUITE_END();

TEST_CASE("more than 64 MiB of a thread's own stack are walked") {
  constexpr std::size_t in_use = std::size_t{100} << 20;
  pthread_attr_t attributes;
  REQUIRE(::pthread_attr_init(&attributes) == 0);
  REQUIRE(::pthread_attr_setstacksize(&attributes, in_use + (std::size_t{1} << 20)) == 0);
  const auto body = [](void*) -> void* {
    const std::uintptr_t here = here_on_stack();
    // The upper part is in use, as far as a walk can tell.
    const unwind::stack_memory stack(here - in_use);
    CHECK(stack.is_own());
    CHECK(stack.end() > here);
    return nullptr;
  };
  pthread_t t;
  REQUIRE(::pthread_create(&t, &attributes, body, nullptr) == 0);
  ::pthread_join(t, nullptr);
  ::pthread_attr_destroy(&attributes);
}

TEST_CASE("the end of the main thread's stack is known, and that of every other thread") {
  const unwind::stack_memory own(here_on_stack());
  CHECK(own.end() > here_on_stack());
  std::thread([] {
    const unwind::stack_memory stack(here_on_stack());
    pthread_attr_t attributes;
    REQUIRE(::pthread_getattr_np(::pthread_self(), &attributes) == 0);
    void* begin = nullptr;
    std::size_t bytes = 0;
    REQUIRE(::pthread_attr_getstack(&attributes, &begin, &bytes) == 0);
    ::pthread_attr_destroy(&attributes);
    const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(begin) + bytes;
    CHECK(stack.end() > here_on_stack());
    CHECK(stack.end() <= end);
    CHECK(end - stack.end() < 16 * 1024);  // glibc's own data of the thread
  }).join();
}

namespace {

ucontext_t main_context, fibre_context;
std::array<std::uintptr_t, 64> fibre_pcs;
unwind::trace fibre_trace{fibre_pcs.data(), fibre_pcs.size()};
unwind::stop_reason fibre_end;

[[gnu::noinline]] void capture_in_fibre() {
  fibre_end =
      unwind::capture(whence_tests::own_unwinder(), fibre_trace, __builtin_return_address(0));
}
void fibre() {
  capture_in_fibre();
  asm volatile("");
}

}  // namespace

TEST_CASE("the stack of a context ends at its start, even if its memory ends there too") {
  const guarded_pages pages(16);
  REQUIRE(::getcontext(&fibre_context) == 0);
  fibre_context.uc_stack.ss_sp = reinterpret_cast<void*>(pages.begin());
  fibre_context.uc_stack.ss_size = pages.end() - pages.begin();
  fibre_context.uc_link = &main_context;
  ::makecontext(&fibre_context, &fibre, 0);
  fibre_trace.depth = 0;
  REQUIRE(::swapcontext(&main_context, &fibre_context) == 0);
  CHECK(fibre_end == unwind::stop_reason::root);
  CHECK(fibre_trace.depth == 2);  // fibre, and what makecontext put below it
}
