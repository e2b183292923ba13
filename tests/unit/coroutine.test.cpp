// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/wait_probe.hpp"
#include <whence/coroutine.hpp>
#include <whence/format/process_code.hpp>
#include <whence/knobs.hpp>
#include <whence/labels.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/record/suspension.hpp>
#include <whence/tables/coroutine_records.hpp>

using namespace whence;
using namespace whence_tests;
using namespace std::chrono_literals;

namespace {

// A coroutine that begins when it is awaited or started, and can be awaited once.
template <class Registry = default_registry>
class [[nodiscard]] basic_task {
 public:
  struct promise_type : basic_tracked_promise<Registry> {
    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr error;
    basic_task get_return_object() { return basic_task(handle::from_promise(*this)); }
    auto initial_suspend() noexcept { return this->at_start(std::suspend_always{}); }
    auto final_suspend() noexcept {
      struct goes_on {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> own) noexcept {
          return own.promise().continuation;
        }
        void await_resume() noexcept {}
      };
      return goes_on{};
    }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { error = std::current_exception(); }
  };
  using handle = std::coroutine_handle<promise_type>;

  explicit basic_task(handle own) : own_(own) {}
  basic_task(basic_task&& other) noexcept : own_(std::exchange(other.own_, nullptr)) {}
  basic_task& operator=(basic_task&&) = delete;
  ~basic_task() {
    if (own_) own_.destroy();
  }
  void start() { own_.resume(); }
  bool done() const { return own_.done(); }

  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> caller) noexcept {
    own_.promise().awaited_by(caller);
    own_.promise().continuation = caller;
    return own_;
  }
  void await_resume() const {
    if (own_.promise().error) std::rethrow_exception(own_.promise().error);
  }

 private:
  handle own_;
};
using task = basic_task<>;

// Its awaiters wait until it is opened.
struct gate {
  std::coroutine_handle<> waiter;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) noexcept { waiter = h; }
  int await_resume() const noexcept { return 7; }
  void open() { std::exchange(waiter, nullptr).resume(); }
};

std::atomic<int> received{0};
task coroutine_inner(gate& g) {
  received = co_await g;
}
task coroutine_middle(gate& g) {
  co_await coroutine_inner(g);
}
task coroutine_outer(gate& g) {
  co_await coroutine_middle(g);
}
task coroutine_named(gate& g) {
  received = co_await tracked_await("coroutine_gate", g);
}

task coroutine_reader(gate& g) {
  for (;;) co_await g;
}
task coroutine_reader_caller(gate& g) {
  co_await coroutine_reader(g);
}

// Awaited by the coroutine that the test awaits; it goes on at once.
struct awaited_in_passing {
  task& t;
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> caller) {
    t.await_suspend(caller);
    t.start();
    return false;
  }
  void await_resume() const noexcept {}
};
task coroutine_consumer(task& t, gate& g) {
  co_await awaited_in_passing{t};
  received = co_await g;
}

// Waits for the other one, which is not resumed for it.
struct waits_for {
  task* other;
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> caller) noexcept {
    other->await_suspend(caller);
  }
  void await_resume() const noexcept {}
};
task coroutine_of_two(task*& other) {
  co_await waits_for{other};
}

[[gnu::noinline]] task coroutine_maker(gate& g) {
  task t = coroutine_outer(g);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return t;
}

// The rows of `goroutine` that go through a function.
std::vector<std::vector<std::string>> stacks_through(const char* function) {
  std::vector<std::vector<std::string>> found;
  for (const profile_row& row : lookup("goroutine")->snapshot().rows) {
    std::vector<std::string> names = names_of(row);
    const bool is_there = std::any_of(names.begin(), names.end(), [&](const std::string& n) {
      return n.find(function) != n.npos;
    });
    for (std::int64_t i = 0; is_there && i < row.values[0]; ++i) found.push_back(names);
  }
  return found;
}

bool holds(const std::vector<std::string>& names, std::vector<const char*> parts) {
  std::size_t next = 0;
  for (const std::string& n : names) {
    if (next < parts.size() && n.find(parts[next]) != n.npos) ++next;
  }
  return next == parts.size();
}

wait_totals block_through(const char* function) {
  wait_totals t;
  for (const profile_row& row : lookup("block")->snapshot().rows) {
    const std::vector<std::string> names = names_of(row);
    if (names.empty() || names[0].find(function) == std::string::npos) continue;
    t.count += row.values[0];
    t.ns += row.values[1];
  }
  return t;
}

std::string dump() {
  std::string text;
  REQUIRE(!lookup("goroutine")->write_to(text, 2));
  return text;
}

}  // namespace

TEST_CASE("a suspended coroutine shows with its awaiters, and the stack that made them") {
  gate g;
  const std::size_t before = lookup("goroutine")->count();
  task t = coroutine_maker(g);
  CHECK(lookup("goroutine")->count() == before + 1);
  CHECK(dump().find(" [not started, ") != std::string::npos);
  CHECK(dump().find(" seconds, coroutine]:\n") != std::string::npos);
  {
    const scoped_labels labels{{"handler", "/coroutine"}};
    t.start();
  }
  // The three of them are one row.
  CHECK(lookup("goroutine")->count() == before + 1);
  const auto stacks = stacks_through("coroutine_inner");
  REQUIRE(stacks.size() == 1);
  CHECK(holds(stacks[0], {"coroutine_inner", "coroutine_middle", "coroutine_outer", "[created by]",
                          "coroutine_outer", "coroutine_maker", "main"}));
  CHECK(stacks[0][0].find("coroutine_inner") != std::string::npos);
  const std::string text = dump();
  CHECK(text.find(" seconds, coroutine] {handler: \"/coroutine\"}:\n") != std::string::npos);
  CHECK(text.find("created by ") != std::string::npos);
  CHECK(stacks_through("coroutine_middle").size() == 1);
  g.open();
  CHECK(t.done());
  CHECK(received == 7);
  CHECK(stacks_through("coroutine_inner").empty());
  CHECK(lookup("goroutine")->count() == before);
}

TEST_CASE("a coroutine's wait is in block, once, and already while it lasts") {
  const wait_rates rates(1);
  gate g;
  task t = coroutine_maker(g);
  const wait_totals before = block_through("coroutine_inner");
  const auto begin = std::chrono::steady_clock::now();
  t.start();
  std::this_thread::sleep_for(30ms);
  const wait_totals meanwhile = block_through("coroutine_inner");
  CHECK(meanwhile.count == before.count + 1);
  CHECK(meanwhile.ns >= before.ns + 30'000'000);
  g.open();
  const auto longest = (std::chrono::steady_clock::now() - begin).count();
  const wait_totals after = block_through("coroutine_inner");
  CHECK(after.count == before.count + 1);
  CHECK(after.ns >= meanwhile.ns);
  CHECK(after.ns - before.ns <= longest);
  // Its awaiters wait for the same event.
  CHECK(block_through("coroutine_middle") == wait_totals{});
  CHECK(block_through("coroutine_outer") == wait_totals{});
}

TEST_CASE("a wait can have a name, in any library's coroutine") {
  struct plain {
    struct promise_type {
      plain get_return_object() { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      void unhandled_exception() noexcept { std::terminate(); }
    };
  };
  static gate g;
  const auto coroutine_of_others = []() -> plain { co_await tracked_await("coroutine_gate", g); };
  const auto waits = [] {
    std::int64_t count = 0;
    for (const profile_row& row : lookup("block")->snapshot().rows) {
      for (const label& l : row.labels) {
        if (l.key == "wait" && l.value == "coroutine_gate") count += row.values[0];
      }
    }
    return count;
  };
  const wait_rates rates(1);
  const std::size_t before = lookup("goroutine")->count();
  coroutine_of_others();
  CHECK(lookup("goroutine")->count() == before + 1);
  CHECK(dump().find("coroutine] {wait: \"coroutine_gate\"}:\n") != std::string::npos);
  CHECK(waits() == 1);
  g.open();
  CHECK(lookup("goroutine")->count() == before);
  gate own;
  task named = coroutine_named(own);
  named.start();
  CHECK(waits() == 2);
  own.open();
  CHECK(named.done());
  CHECK(waits() == 2);
}

TEST_CASE("the wait of a coroutine stays recorded if the coroutine is destroyed meanwhile") {
  const wait_rates rates(1);
  const wait_totals before = block_through("coroutine_named");
  gate g;
  wait_totals shown;
  {
    task t = coroutine_named(g);
    t.start();
    while (shown.count <= before.count) shown = block_through("coroutine_named");
  }
  const wait_totals after = block_through("coroutine_named");
  CHECK(after.count == before.count + 1);
  CHECK(after.ns >= shown.ns);
}

TEST_CASE("a child of fork does not wait for its parent's threads that resume coroutines") {
  tables::coroutine_records& all = *record::coroutines_of(state::attached());
  tables::coroutine_record* const r = all.take();
  REQUIRE(r != nullptr);
  r->suspension.begin({});
  r->suspension.count();  // the child has no thread to end it
  const ::pid_t child = ::fork();
  if (child == 0) {
    const std::uint32_t now = r->suspension.sequence;
    ::_exit(tables::wait_slot::state(now) == tables::wait_slot::none ? 0 : 1);
  }
  int status = 1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  r->suspension.end();
  all.give_back(*r);
}

// However often the inner one goes on while the others are listed, its awaiters stay suspended.
TEST_CASE("a dump misses no coroutine whose callee goes on and is suspended again") {
  gate quiet;
  std::vector<task> others;
  for (int i = 0; i < 500; ++i) {
    others.push_back(coroutine_maker(quiet));
    others.back().start();
  }
  gate busy;
  task t = coroutine_reader_caller(busy);
  t.start();
  std::atomic<bool> stop{false};
  std::thread resumes([&] {
    while (!stop) {
      for (int i = 0; i < 10; ++i) busy.open();
      std::this_thread::yield();
    }
  });
  // Otherwise each dump reads the program's debug information again.
  const format::process_code read_once;
  int missed = 0;
  for (int i = 0; i < 200; ++i)
    missed += stacks_through("coroutine_reader_caller").size() == 1 ? 0 : 1;
  stop = true;
  resumes.join();
  CHECK(missed == 0);
}

TEST_CASE("a coroutine that is destroyed while suspended is gone") {
  const wait_rates rates(1);
  const std::size_t before = lookup("goroutine")->count();
  const profile* const living = lookup("coroutine");
  REQUIRE(living != nullptr);
  const std::size_t lived = living->count();
  for (int i = 0; i < 1000; ++i) {
    gate g;
    std::vector<task> all;
    all.push_back(coroutine_maker(g));
    all.push_back(coroutine_named(g));
    all.push_back(coroutine_maker(g));
    all[i % 2 == 0 ? 0U : 1U].start();
    CHECK(living->count() >= lived + 3);
  }
  CHECK(living->count() == lived);
  CHECK(lookup("goroutine")->count() == before);
}

TEST_CASE("a generator that has yielded is idle, and no coroutine waits") {
  struct numbers {
    struct promise_type : tracked_promise {
      int value = 0;
      numbers get_return_object() {
        return {std::coroutine_handle<promise_type>::from_promise(*this)};
      }
      auto initial_suspend() noexcept { return at_start(std::suspend_always{}); }
      std::suspend_always final_suspend() noexcept { return {}; }
      auto yield_value(int v) noexcept {
        value = v;
        return idle(std::suspend_always{});
      }
      void return_void() noexcept {}
      void unhandled_exception() noexcept { std::terminate(); }
    };
    std::coroutine_handle<promise_type> own;
  };
  const wait_rates rates(1);
  const wait_totals before = waits_of(*lookup("block"));
  const auto coroutine_counts = []() -> numbers {
    for (int i = 1; i < 3; ++i) co_yield i;
  };
  const numbers n = coroutine_counts();
  n.own.resume();
  CHECK(n.own.promise().value == 1);
  CHECK(dump().find(" [idle, ") != std::string::npos);
  n.own.resume();
  CHECK(n.own.promise().value == 2);
  n.own.resume();
  CHECK(n.own.done());
  n.own.destroy();
  CHECK(waits_of(*lookup("block")) == before);
}

TEST_CASE("a coroutine that has gone on since an await is a stack of its own") {
  gate first, second;
  task left = coroutine_inner(first);
  task t = coroutine_consumer(left, second);
  t.start();
  const std::size_t before = lookup("goroutine")->count();
  const auto stacks = stacks_through("coroutine_inner");
  REQUIRE(stacks.size() == 1);
  for (const std::string& name : stacks[0]) CHECK(name.find("coroutine_consumer") == name.npos);
  second.open();
  CHECK(lookup("goroutine")->count() == before - 1);
}

TEST_CASE("coroutines that wait for each other are one stack") {
  const std::size_t before = lookup("goroutine")->count();
  task* both[2]{};
  task a = coroutine_of_two(both[1]);
  task b = coroutine_of_two(both[0]);
  both[0] = &a;
  both[1] = &b;
  CHECK(lookup("goroutine")->count() == before + 2);
  a.start();
  b.start();
  CHECK(lookup("goroutine")->count() == before + 1);
}

TEST_CASE("a dump has any number of waits for locks and coroutines") {
  tracked_mutex<> orders{"orders"};
  std::vector<gate> gates(2000);
  std::vector<task> tasks;
  for (gate& g : gates) tasks.push_back(coroutine_inner(g));
  for (task& t : tasks) t.start();
  std::atomic<int> holder{0};
  std::atomic<bool> over{false};
  std::thread holding([&] {
    orders.lock();
    holder = ::gettid();
    holder.notify_one();
    over.wait(false);
    orders.unlock();
  });
  holder.wait(0);
  std::thread waiting([&] {
    orders.lock();
    orders.unlock();
  });
  std::string text;
  const std::string expected =
      "waiting for lock \"orders\" held by thread " + std::to_string(holder) + " at ";
  for (int i = 0; i < 500 && text.find(expected) == text.npos; ++i) {
    std::this_thread::sleep_for(10ms);
    text.clear();
    REQUIRE_FALSE(lookup("goroutine")->write_to(text, 2));
  }
  over = true;
  over.notify_one();
  holding.join();
  waiting.join();
  // The holder took it in code of this test: the stack must not show other memory.
  const std::size_t at = text.find(expected);
  REQUIRE(at != text.npos);
  const std::string place = text.substr(at + expected.size(), 200);
  CAPTURE(place);
  CHECK((place.find("coroutine.test.cpp") < place.find(']') ||
         place.find("DOCTEST_ANON_FUNC") < place.find(']')));
}

TEST_CASE("every kind of awaitable behaves as without the library") {
  struct refuses {  // suspends, and goes on at once
    bool await_ready() { return false; }
    bool await_suspend(std::coroutine_handle<>) { return false; }
    std::string await_resume() { return "refused"; }
  };
  struct throws {
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<>) { throw std::runtime_error("not now"); }
    void await_resume() {}
  };
  struct by_member {
    refuses operator co_await() && { return {}; }
  };
  struct ready {
    int value;
    bool await_ready() { return true; }
    void await_suspend(std::coroutine_handle<>) { FAIL("it was ready"); }
    int& await_resume() { return value; }
  };
  struct fixed : ready {  // cannot be copied or moved
    fixed() : ready{5} {}
    fixed(const fixed&) = delete;
    fixed& operator=(const fixed&) = delete;
  };
  const std::size_t before = lookup("goroutine")->count();
  std::string seen;
  const auto all = [&]() -> task {
    seen += co_await refuses{};
    seen += co_await by_member{};
    seen += co_await tracked_await("x", by_member{});
    fixed f;
    int& value = co_await f;
    value = 6;
    seen += std::to_string(f.value);
    seen += std::to_string(co_await fixed{});
    try {
      co_await throws{};
    } catch (const std::runtime_error& e) {
      seen += e.what();
    }
    co_await throws{};
  };
  const auto outer = [&]() -> task {
    try {
      co_await all();
    } catch (const std::runtime_error&) {
      seen += " caught";
    }
  };
  task t = outer();
  t.start();
  CHECK(t.done());
  CHECK(seen == "refusedrefusedrefused65not now caught");
  CHECK(lookup("goroutine")->count() == before);
}

TEST_CASE("null_registry removes all of it") {
  static_assert(std::is_empty_v<basic_tracked_promise<null_registry>>);
  gate g;
  const auto plain = [](gate& at) -> basic_task<null_registry> {
    received = co_await tracked_await<null_registry>("x", at);
  };
  const std::size_t before = lookup("goroutine")->count();
  basic_task<null_registry> t = plain(g);
  t.start();
  CHECK(lookup("goroutine")->count() == before);
  g.open();
  CHECK(t.done());
}

TEST_CASE("beyond the memory limit coroutines run untracked") {
  set_memory_limit(0);
  std::vector<gate> gates(5000);
  {
    std::vector<task> tasks;
    for (gate& g : gates) {
      tasks.push_back(coroutine_maker(g));
      tasks.back().start();
    }
    CHECK(lookup("goroutine")->count() < 5000);
    for (gate& g : gates) g.open();
    for (const task& t : tasks) CHECK(t.done());
  }
  set_memory_limit(std::size_t{256} << 20);
  bool said = false;
  for (const std::string& c : lookup("goroutine")->snapshot().header.comments) {
    said = said || c.find("live entries not tracked") != c.npos;
  }
  CHECK(said);
}

TEST_CASE("coroutines that begin, go on and end on all threads, while they are looked at") {
  const wait_rates rates(1);
  std::atomic<bool> stop{false};
  std::atomic<int> finished{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&stop, &finished] {
      while (!stop) {
        std::vector<gate> gates(50);
        std::vector<task> tasks;
        for (gate& g : gates) {
          tasks.push_back(coroutine_maker(g));
          tasks.back().start();
        }
        // Half of them end on another thread than they began on.
        const auto open = [&gates](std::size_t first) {
          for (std::size_t k = first; k < gates.size(); k += 2) gates[k].open();
        };
        std::thread other(open, 0);
        open(1);
        other.join();
        finished += 50;
      }
    });
  }
  gate lasting;
  task t = coroutine_maker(lasting);
  t.start();
  const auto end = std::chrono::steady_clock::now() + 1s;
  int looks = 0;
  while (std::chrono::steady_clock::now() < end) {
    std::size_t own = 0;
    for (const auto& names : stacks_through("coroutine_inner")) {
      if (!holds(names, {"[created by]"})) continue;  // about to begin
      // Each stack is whole, whichever other coroutines are in it.
      CHECK(holds(names,
                  {"coroutine_inner", "coroutine_middle", "coroutine_outer", "coroutine_maker"}));
      own += holds(names, {"coroutine_maker", "doctest::Context::run"}) ? 1 : 0;
    }
    CHECK(own == 1);
    (void)waits_of(*lookup("block"));
    ++looks;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  lasting.open();
  CHECK(t.done());
  CHECK(looks > 0);
  CHECK(finished > 0);
  CHECK(stacks_through("coroutine_").empty());
}
