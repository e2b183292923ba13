// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include <whence/samplers/new_thread_poll.hpp>
#include <whence/samplers/thread_table.hpp>
#include <whence/sys/proc_task.hpp>

using namespace whence;

namespace {

struct entry {
  std::atomic<pid_t> tid{0};
  std::atomic<int> in_handler{0};
  std::uint32_t seen = 0;
  std::int64_t last_cpu_ns = 0;
  bool is_free() const { return tid == 0 && in_handler == 0; }
};

struct workplace {
  sys::memory_budget budget{std::size_t{256} << 20};
  sys::arena arena{budget};
  samplers::thread_table<entry> table{arena};
  int begun = 0;
  int ended = 0;

  bool follow(pid_t without = 0) {
    return table.follow([without](pid_t tid) { return tid == without; },
                        [this](entry& e, pid_t tid) {
                          ++begun;
                          e.tid = tid;
                        },
                        [this](entry&) { ++ended; });
  }
  std::set<pid_t> tids() {
    std::set<pid_t> all;
    table.for_each([&all](const entry& e) { all.insert(e.tid); });
    return all;
  }
};

// Threads that wait until they are released.
class crowd {
 public:
  explicit crowd(std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      threads_.emplace_back([this] {
        ++here_;
        while (!go_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
    }
    while (here_ < size) std::this_thread::yield();
  }
  ~crowd() {
    go_ = true;
    for (auto& t : threads_) t.join();
  }

 private:
  std::atomic<bool> go_{false};
  std::atomic<std::size_t> here_{0};
  std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("the entries are those of the existing threads") {
  std::thread([] {}).join();  // a sanitizer starts one of its own with the first
  workplace w;
  REQUIRE(w.follow());
  const int before = w.begun;
  CHECK(w.tids().contains(::gettid()));
  {
    const crowd others(200);  // more than the first segment
    REQUIRE(w.follow());
    CHECK(w.begun == before + 200);
    REQUIRE(w.follow());
    CHECK(w.begun == before + 200);
    CHECK(w.tids().size() == static_cast<std::size_t>(before) + 200);
    std::set<pid_t> listed;
    REQUIRE(sys::for_each_task([&listed](pid_t tid) { listed.insert(tid); }));
    CHECK(w.tids() == listed);
  }
  // The kernel may list a thread for a moment after it was joined.
  for (int i = 0; i < 1000 && w.ended < 200; ++i) {
    REQUIRE(w.follow());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(w.ended == 200);
  REQUIRE(w.follow(::gettid()));
  CHECK_FALSE(w.tids().contains(::gettid()));
}

TEST_CASE("an entry is found by its address and by its tid, and is not reused while it is in use") {
  workplace w;
  REQUIRE(w.follow());
  entry* const mine = w.table.find(::gettid());
  REQUIRE(mine != nullptr);
  CHECK(w.table.at(mine) == mine);
  CHECK(w.table.at(reinterpret_cast<char*>(mine) + 1) == nullptr);
  CHECK(w.table.at(nullptr) == nullptr);
  CHECK(w.table.at(&w) == nullptr);
  const samplers::entry_in_use<entry> use(*mine);
  w.table.clear([](entry&) {});
  CHECK(w.tids().empty());
  REQUIRE(w.follow());
  CHECK(w.table.find(::gettid()) != nullptr);
  CHECK(w.table.find(::gettid()) != mine);
}

TEST_CASE("a tid that now belongs to another thread begins anew") {
  workplace w;
  REQUIRE(w.follow());
  const int begun = w.begun;
  w.table.find(::gettid())->last_cpu_ns = INT64_MAX;  // as if the earlier thread had used more
  REQUIRE(w.follow());
  CHECK(w.begun == begun + 1);
  CHECK(w.ended == 1);
}

TEST_CASE("threads that could not be given an entry are counted, anew at each look") {
  workplace w;
  REQUIRE(w.follow());
  CHECK(w.table.without_entry() == 0);
  w.table.clear([](entry&) {});
  const auto all = [](pid_t) { return false; };
  const auto refused = [](entry&, pid_t) {};
  const auto ends = [](entry&) {};
  for (int i = 0; i < 2; ++i) {
    REQUIRE(w.table.follow([](pid_t tid) { return tid != ::gettid(); }, refused, ends));
    CHECK(w.table.without_entry() == 1);
  }
  w.table.follow_known([](auto visit) { visit(::gettid()); }, all, refused, ends);
  CHECK(w.table.without_entry() == 2);
  REQUIRE(w.follow());
  CHECK(w.table.without_entry() == 0);
}

TEST_CASE("a new thread changes the count that reveals new threads") {
  samplers::new_thread_poll watch(1000, 50);
  watch.start_over();
  int looks = 0;
  watch.look(5, [&looks] { ++looks; });
  CHECK(looks == 1);
  CHECK(watch.next_ns() >= 1005);
  std::thread([] {}).join();
  watch.look(1, [&looks] { ++looks; });
  CHECK(looks == 2);
}
