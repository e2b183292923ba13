// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"
#include <whence/labels.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>

using namespace whence;

namespace {

pthread_key_t key_of_other;

// A library's destructor that flushes its log, and sets its value again.
void comes_again(void* value) {
  const scoped_labels scope("thread_records", "flush");
  ::pthread_setspecific(key_of_other, value);
}

void live_and_end() {
  ::pthread_setspecific(key_of_other, &key_of_other);
  const scoped_labels scope("thread_records", "work");
}

}  // namespace

TEST_CASE("records taken in a thread's last destructor are found when others are needed") {
  if (thread_sanitized) return;  // it knows a thread no longer in its last destructors
  { const scoped_labels scope("thread_records", "before"); }
  REQUIRE(::pthread_key_create(&key_of_other, &comes_again) == 0);
  const auto threads = [](int n) {
    for (int i = 0; i < n; ++i) std::thread(live_and_end).join();
  };
  threads(100);
  const std::size_t before = state::attached().budget.stacks.used();
  threads(2000);
  CHECK(state::attached().budget.stacks.used() - before <= 16 * sizeof(tables::thread_record));
  ::pthread_key_delete(key_of_other);
}

TEST_CASE("threads that live at once have a record each, with their own labels") {
  constexpr int count = 64;
  std::atomic<int> ready{0}, wrong{0};
  for (int round = 0; round < 5; ++round) {
    ready = 0;
    std::vector<std::thread> all;
    for (int i = 0; i < count; ++i) {
      all.emplace_back([&, i] {
        const scoped_labels scope("thread", i);
        ++ready;
        while (ready < count) std::this_thread::yield();
        const state::process_state& s = state::attached();
        if (s.threads.labels_of(::gettid()) != current_labels().word()) ++wrong;
        if (current_labels() != labels("thread", i)) ++wrong;
      });
    }
    for (auto& t : all) t.join();
  }
  CHECK(wrong == 0);
}

TEST_CASE("a record that a thread is about to take is not visited") {
  const scoped_labels scope("thread_records", "here");
  state::process_state& s = state::attached();
  // Other tests have tables of their own, which take this thread's word.
  tables::thread_record* const mine = state::record_of_this_thread(s);
  REQUIRE(mine != nullptr);
  const auto lowest = [&s] {
    pid_t least = ::gettid();
    s.threads.for_each_tid([&least](pid_t tid) { least = tid < least ? tid : least; });
    return least;
  };
  CHECK(lowest() > 0);
  mine->tid = tables::thread_records::claimed;
  CHECK(lowest() > 0);
  mine->tid = ::gettid();
}
