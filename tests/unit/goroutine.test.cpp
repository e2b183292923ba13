// SPDX-License-Identifier: Apache-2.0
//
// The profile of all threads, in its forms for readers and for programs.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "support/cpu_probe.hpp"
#include "support/sanitizers.hpp"
#include "support/text.hpp"
#include <whence/labels.hpp>
#include <whence/profile.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

// Threads that sleep in functions of known names until they are released, undisturbed.
class park {
 public:
  park() { REQUIRE(::pipe2(ends_, O_CLOEXEC) == 0); }
  ~park() {
    CHECK(::close(ends_[1]) == 0);
    for (std::thread& t : threads_) t.join();
    CHECK(disturbed == 0);
    ::close(ends_[0]);
  }
  park(const park&) = delete;
  park& operator=(const park&) = delete;

  template <class Body>
  void add(int count, Body body) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, body] { body(*this); });
    }
  }
  // Waits until all are asleep.
  void wait() const {
    for (const profile& p = *lookup("goroutine");;) {
      std::int64_t asleep = 0;
      for (const profile_row& row : p.snapshot().rows) {
        if (goes_through(row, "goroutine_sleeps")) asleep += row.values[0];
      }
      if (asleep == static_cast<std::int64_t>(threads_.size())) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  int door() const { return ends_[0]; }
  std::atomic<int> disturbed{0};

 private:
  int ends_[2]{};
  std::vector<std::thread> threads_;
};

[[gnu::noinline]] void goroutine_sleeps(park& p) {
  pollfd door{p.door(), POLLIN, 0};
  if (::poll(&door, 1, -1) != 1) ++p.disturbed;
  asm volatile("");
}
// The code differs, or the two would become one function.
[[gnu::noinline]] void parked_in_one(park& p) {
  goroutine_sleeps(p);
  asm volatile("" ::"i"(1));
}
[[gnu::noinline]] void parked_in_two(park& p) {
  goroutine_sleeps(p);
  asm volatile("" ::"i"(2));
}
[[gnu::noinline]] void parked_in_three(park& p) {
  goroutine_sleeps(p);
  asm volatile("" ::"i"(3));
}

[[gnu::noinline]] void busy_for_a_while() {
  compute_until(this_thread_ns() + 1'000'000);
  asm volatile("");
}

std::string text(int debug) {
  std::string all;
  CHECK_FALSE(lookup("goroutine")->write_to(all, debug));
  return all;
}

std::vector<std::string> blocks(const std::string& all) {
  std::vector<std::string> result;
  for (std::size_t at = 0; at < all.size();) {
    std::size_t end = all.find("\n\n", at);
    end = end == std::string::npos ? all.size() : end;
    result.push_back(all.substr(at, end - at));
    at = end + 2;
  }
  return result;
}

}  // namespace

TEST_CASE("parked threads: counts, order and labels as Go prints them") {
  park p;
  p.add(50, parked_in_one);
  p.add(44, [](park& all) {
    const scoped_labels l{{"key", "value"}};
    parked_in_one(all);
  });
  p.add(40, parked_in_two);
  p.add(36, [](park& all) {
    const scoped_labels l{{"key 1", "value 1"}, {"key 2", "value \"2\""}};
    parked_in_two(all);
  });
  p.add(10, parked_in_three);
  p.add(9, [](park& all) {
    const scoped_labels l{{"key", "value"}};
    parked_in_three(all);
  });
  p.wait();
  // Go: runtime/pprof/pprof_test.go, TestGoroutineCounts
  struct expected {
    const char* begins;
    const char* labels;
    const char* function;
  };
  const expected order[] = {
      {"50 @ ", nullptr, "parked_in_one"},
      {"44 @ ", R"(# labels: {"key":"value"})", "parked_in_one"},
      {"40 @ ", nullptr, "parked_in_two"},
      {"36 @ ", R"(# labels: {"key 1":"value 1", "key 2":"value \"2\""})", "parked_in_two"},
      {"10 @ ", nullptr, "parked_in_three"},
      {"9 @ ", R"(# labels: {"key":"value"})", "parked_in_three"}};
  std::vector<std::string> groups = blocks(text(1));
  // A sanitizer may have threads of its own.
  std::erase_if(groups, [](const std::string& g) {
    return !has(g, "parked_in") && !has(g, "profile: total") && !has(g, "write_to");
  });
  REQUIRE(groups.size() >= 6);
  const std::string title = "goroutine profile: total ";
  CHECK(groups[0].starts_with(title));
  CHECK(std::atoi(groups[0].c_str() + title.size()) >= 190);
  groups[0].erase(0, groups[0].find('\n') + 1);
  for (std::size_t i = 0; i < 6; ++i) {
    CAPTURE(groups[i]);
    CHECK(groups[i].starts_with(order[i].begins));
    CHECK(has(groups[i], order[i].function));
    CHECK(has(groups[i], "# labels:") == (order[i].labels != nullptr));
    if (order[i].labels != nullptr) CHECK(has(groups[i], order[i].labels));
  }
  // The same as a typed snapshot.
  const profile_snapshot now = lookup("thread")->snapshot();
  std::vector<std::int64_t> counts;
  for (const profile_row& row : now.rows) {
    if (goes_through(row, "goroutine_sleeps")) counts.push_back(row.values[0]);
  }
  std::sort(counts.begin(), counts.end());
  CHECK(counts == std::vector<std::int64_t>{9, 10, 36, 40, 44, 50});
  CHECK(lookup("goroutine")->count() >= 190);
}

TEST_CASE("the readable dump says what each thread does, and since when") {
  park p;
  p.add(1, [](park& all) {
    const scoped_labels l{{"handler", "/search"}, {"odd key", "x"}};
    parked_in_one(all);
  });
  p.wait();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const std::vector<std::string> all = blocks(text(2));
  const std::string own = "goroutine " + std::to_string(::gettid()) + " [running";
  CHECK(all.front().starts_with(own));
  CHECK_FALSE(has(all.front(), "write_to"));
  const auto sleeper = std::find_if(all.begin(), all.end(),
                                    [](const std::string& b) { return has(b, "parked_in_one"); });
  REQUIRE(sleeper != all.end());
  CAPTURE(*sleeper);
  CHECK(sleeper->starts_with("goroutine "));
  CHECK(has(*sleeper, " [poll, "));
  CHECK(has(*sleeper, R"(] {handler: "/search", "odd key": "x"}:)"));
  CHECK(has(*sleeper, "\n\t"));
  CHECK(has(*sleeper, "goroutine.test.cpp:") == (WHENCE_WITH_LIBDW != 0));
}

TEST_CASE("a running thread takes its own stack") {
  std::atomic<bool> begun{false}, stop{false};
  std::thread busy([&begun, &stop] {
    const scoped_labels l{{"who", "busy"}};
    begun = true;
    while (!stop) busy_for_a_while();
  });
  while (!begun) std::this_thread::yield();
  int present = 0, seen = 0;
  for (int i = 0; i < 20; ++i) {
    for (const profile_row& row : lookup("goroutine")->snapshot().rows) {
      if (label_of(row, "who") != "busy") continue;
      ++present;
      if (goes_through(row, "busy_for_a_while")) ++seen;
    }
  }
  stop = true;
  busy.join();
  CHECK(present == 20);
  // It answers when it next gets a processor: on a busy machine that may be too late.
  CHECK(seen >= (thread_sanitized ? 0 : 5));  // a sanitizer delays signals
}

TEST_CASE("a thread that blocks all signals is listed, with the reason why it has no stack") {
  std::atomic<int> state{0};
  std::thread deaf([&state] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    state = 1;
    while (state == 1) busy_for_a_while();
  });
  while (state == 0) std::this_thread::yield();
  const std::string all = text(2);
  state = 2;
  deaf.join();
  CHECK((has(all, "it runs, and blocks SIGPROF") || thread_sanitized));
}

TEST_CASE("a child of fork has one thread, and shows it") {
  park p;
  p.add(3, parked_in_one);
  p.wait();
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(20);
    std::int64_t count = 0;
    for (const profile_row& row : lookup("goroutine")->snapshot().rows) count += row.values[0];
    ::_exit(count == 1 && lookup("goroutine")->count() == 1 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((status == 0 || sanitized));
}

TEST_CASE("dumps of many threads at once while threads come and go") {
  park p;
  p.add(20, parked_in_two);
  p.wait();
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&stop] {
      while (!stop) std::thread([] { busy_for_a_while(); }).join();
    });
  }
  std::atomic<int> missing{0};
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&missing] {
      for (int n = 0; n < 15; ++n) {
        std::int64_t parked = 0;
        for (const profile_row& row : lookup("goroutine")->snapshot().rows) {
          if (goes_through(row, "parked_in_two")) parked += row.values[0];
        }
        if (parked != 20) ++missing;
      }
    });
  }
  for (std::size_t i = 2; i < others.size(); ++i) others[i].join();
  stop = true;
  for (std::size_t i = 0; i < 2; ++i) others[i].join();
  CHECK(missing == 0);
}
