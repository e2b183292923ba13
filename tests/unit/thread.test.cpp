// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/sanitizers.hpp"
#include "support/wait_probe.hpp"
#include <whence/labels.hpp>
#include <whence/profile.hpp>
#include <whence/thread.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

using r = prefixed_registry<"thread.test">;
using thread = basic_tracked_thread<false, r>;
using jthread = basic_tracked_thread<true, r>;

std::int64_t living(const char* creator) {
  std::int64_t n = 0;
  for (const profile_row& row : r::threadcreate().snapshot().rows) {
    if (goes_through(row, creator)) n += row.values[0];
  }
  return n;
}

// A thread's end is told by the destructors of its thread-local variables, before join returns.
struct gate {
  std::atomic<int> here{0};
  std::atomic<bool> open{false};
  void pass() {
    ++here;
    while (!open) sleep_ms(1);
  }
  void wait_for(int n) const {
    while (here < n) sleep_ms(1);
  }
};

[[gnu::noinline]] thread made_in_one(gate& g) {
  return thread([&g] { g.pass(); });
}
[[gnu::noinline]] jthread made_in_two(gate& g) {
  return jthread(thread_name{"the second one"}, [&g] { g.pass(); });
}

struct calculator {
  int sum = 0;
  void add(int a, int b) { sum = a + b; }
};

struct cannot_be_copied_twice {
  cannot_be_copied_twice() = default;
  cannot_be_copied_twice(const cannot_be_copied_twice&) { throw std::runtime_error("copied"); }
  void operator()() const {}
};

}  // namespace

TEST_CASE("threadcreate counts the living threads by the stack that made them") {
  gate g;
  std::vector<thread> ones;
  for (int i = 0; i < 5; ++i) ones.push_back(made_in_one(g));
  jthread two = made_in_two(g);
  g.wait_for(6);
  CHECK(living("made_in_one") == 5);
  CHECK(living("made_in_two") == 1);
  CHECK(living("threadcreate counts") == 0);  // no frame of the library or of the test's macro
  g.open = true;
  for (thread& t : ones) t.join();
  two.join();
  CHECK(living("made_in_one") == 0);
  CHECK(living("made_in_two") == 0);
}

TEST_CASE("a tracked thread behaves like std::thread") {
  static_assert(!std::is_copy_constructible_v<thread> &&
                std::is_nothrow_move_constructible_v<thread>);
  thread none;
  CHECK_FALSE(none.joinable());
  CHECK(none.get_id() == thread::id());
  CHECK_THROWS_AS(none.join(), std::system_error);
  calculator c;
  thread member(&calculator::add, &c, 2, 3);
  CHECK(member.joinable());
  CHECK(member.get_id() != std::this_thread::get_id());
  member.join();
  CHECK(c.sum == 5);
  std::unique_ptr<int> result;
  thread moves([&result](std::unique_ptr<int> p) { result = std::move(p); },
               std::make_unique<int>(7));
  thread other = std::move(moves);
  CHECK_FALSE(moves.joinable());
  swap(moves, other);
  moves.join();
  CHECK(*result == 7);
  int value = 1;
  thread by_reference([](int& v) { v = 2; }, std::ref(value));
  by_reference.join();
  CHECK(value == 2);
  std::atomic<bool> ran{false};
  thread gone([&ran] { ran = true; });
  gone.detach();
  CHECK_FALSE(gone.joinable());
  while (!ran) sleep_ms(1);
  CHECK(thread::hardware_concurrency() == std::thread::hardware_concurrency());
}

TEST_CASE("a tracked jthread is asked to stop, with a token or without") {
  std::atomic<bool> stopped{false};
  {
    jthread t(
        [&stopped](std::stop_token token, int n) {
          while (!token.stop_requested()) sleep_ms(n);
          stopped = true;
        },
        1);
    CHECK(t.get_stop_token().stop_possible());
    CHECK(t.get_stop_source().stop_possible());
  }
  CHECK(stopped);
  jthread plain([](int) {}, 1);
  plain.join();
  CHECK(plain.request_stop());
}

TEST_CASE("a thread has its maker's labels, and its name") {
  const scoped_labels l{{"tenant", "acme"}};
  std::string tenant, name, set_later, kernel;
  thread t(thread_name{"a name of more than fifteen"}, [&] {
    tenant = current_labels()["tenant"];
    name = current_labels()["thread"];
    char text[16];
    ::pthread_getname_np(::pthread_self(), text, sizeof text);
    kernel = text;
    set_thread_name("another");
    set_later = current_labels()["thread"];
  });
  t.join();
  CHECK(tenant == "acme");
  CHECK(name == "a name of more than fifteen");
  CHECK(kernel == "a name of more ");
  CHECK(set_later == "another");
  CHECK(current_labels()["thread"].empty());
}

TEST_CASE("the dump says which function made a thread, and its name") {
  gate g;
  jthread t = made_in_two(g);
  g.wait_for(1);
  std::string all;
  CHECK_FALSE(lookup("goroutine")->write_to(all, 2));
  CHECK(all.find("thread \"the second one\"") != std::string::npos);
  const std::size_t at = all.find("created by ");
  REQUIRE(at != std::string::npos);
  CHECK(all.find("made_in_two", at) != std::string::npos);
  g.open = true;
}

TEST_CASE("a thread that cannot start is in no profile") {
  const cannot_be_copied_twice f;
  CHECK_THROWS_AS(thread{f}, std::runtime_error);
  for (const profile_row& row : r::threadcreate().snapshot().rows) CHECK(row.values[0] >= 0);
  CHECK(living("cannot_be_copied") == 0);
}

TEST_CASE("join is a wait") {
  thread t([] { sleep_ms(30); });
  const std::int64_t before = waits_of(r::block()).count;
  t.join();
  CHECK(waits_of(r::block()).count == before + 1);
}

TEST_CASE("a child of fork has no threads but its own in threadcreate") {
  gate g;
  thread t = made_in_one(g);
  g.wait_for(1);
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(living("made_in_one") == 0 ? 0 : 1);
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((status == 0 || sanitized));
  g.open = true;
  t.join();
}

TEST_CASE("nothing recorded, nothing added") {
  using plain = basic_tracked_thread<false, null_registry>;
  static_assert(sizeof(plain) == sizeof(std::thread));
  int value = 0;
  plain t(thread_name{"unseen"}, [&value] { value = 1; });
  t.join();
  CHECK(value == 1);
}
