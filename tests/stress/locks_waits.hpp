// SPDX-License-Identifier: Apache-2.0
//
// Parts of locks.cpp: condition variables, semaphores, latches, barriers, futures, scopes, and
// threads and locks with short lives.
#ifndef WHENCE_TESTS_STRESS_LOCKS_WAITS_HPP
#define WHENCE_TESTS_STRESS_LOCKS_WAITS_HPP

#include "locks_common.hpp"
#include "locks_exclusion.hpp"

namespace {

// ---- condition variables

// A queue of four places, closed at its end; each reader waits in a way of its own.
template <class Mutex>
class queue {
 public:
  void put(int item) {
    std::unique_lock hold(lock_);
    not_full_.wait(hold, [&] { return items_.size() < 4; });
    items_.push_back(item);
    not_empty_.notify_one();
  }
  void close() {
    const std::lock_guard hold(lock_);
    closed_ = true;
    not_empty_.notify_all();
  }

  // The next item; 0 after the last one.
  int take(std::size_t way, std::stop_token token) {
    std::unique_lock hold(lock_);
    const auto ready = [&] { return !items_.empty() || closed_; };
    switch (way % 6) {
      case 0:
        not_empty_.wait(hold, ready);
        break;
      case 1:
        while (!ready()) not_empty_.wait(hold);
        break;
      case 2:
        while (!not_empty_.wait_for(hold, 50us, ready)) MUST(!ready());
        break;
      case 3:
        while (!not_empty_.wait_until(hold, steady::now() + 50us, ready)) MUST(!ready());
        break;
      case 4:
        if (!not_empty_.wait(hold, token, ready)) MUST(token.stop_requested());
        break;
      default:
        while (!not_empty_.wait_for(hold, token, 50us, ready) && !token.stop_requested()) {
        }
    }
    MUST(hold.owns_lock());
    if (items_.empty()) return 0;
    const int item = items_.front();
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }

 private:
  Mutex lock_{};
  tracked_condition_variable not_full_, not_empty_{"not_empty"};
  std::deque<int> items_;
  bool closed_ = false;
};

template <class Mutex>
void deliver(random_numbers& random) {
  constexpr int items = 100, writers = 2;
  constexpr std::size_t readers = 3;
  queue<Mutex> q;
  std::int64_t sums[readers] = {};
  {
    std::vector<std::jthread> reading_threads;
    for (std::size_t i = 0; i < readers; ++i) {
      const std::size_t way = random.below(6);
      reading_threads.emplace_back([&q, &sum = sums[i], way](std::stop_token token) {
        while (const int item = q.take(way, token)) sum += item;
      });
    }
    {
      std::vector<std::jthread> writing_threads;
      for (int i = 0; i < writers; ++i) {
        writing_threads.emplace_back([&q] {
          for (int item = 1; item <= items; ++item) q.put(item);
        });
      }
    }
    q.close();
  }
  MUST(std::accumulate(std::begin(sums), std::end(sums), std::int64_t{0}) ==
       writers * items * (items + 1) / 2);
}

void queues(random_numbers& random) {
  switch (random.below(6)) {
    case 0:
      return deliver<tracked_mutex<std::timed_mutex>>(random);
    case 5:
      return deliver<whence::mutex>(random);
    case 1:
      return deliver<tracked_mutex<std::shared_mutex>>(random);
    case 2:
      return deliver<std::mutex>(random);
    case 3:
      return deliver<tracked_mutex<ticket_lock>>(random);
    default:
      return deliver<tracked_mutex<>>(random);
  }
}

// Waits without a notification, release or value end at their time, and not before; a stop ends
// them at once.
void timeouts(random_numbers& random) {
  const auto patience = std::chrono::microseconds(random.below(300));
  const auto start = steady::now();
  tracked_mutex<std::timed_mutex> held;
  const std::lock_guard hold(held);
  std::thread([&] {
    MUST(!held.try_lock_for(patience));
    MUST(steady::now() - start >= patience);
    MUST(!held.try_lock());
  }).join();

  tracked_condition_variable never("never");
  tracked_mutex<> m;
  std::unique_lock mine(m);
  const auto before = steady::now();
  if (never.wait_for(mine, patience) == std::cv_status::timeout) {
    MUST(steady::now() - before >= patience);
  }
  const auto deadline = steady::now() + patience;
  MUST(!never.wait_until(mine, deadline, [] { return false; }));
  MUST(steady::now() >= deadline);
  MUST(never.wait_for(mine, 1h, [] { return true; }));
  std::stop_source source;
  const std::jthread stopper([&] { source.request_stop(); });
  MUST(!never.wait(mine, source.get_token(), [] { return false; }));
  MUST(!never.wait_for(mine, source.get_token(), 1h, [] { return false; }));
  MUST(mine.owns_lock());

  whence::tracked_binary_semaphore none(0);
  MUST(!none.try_acquire() && !none.try_acquire_for(patience));
  MUST(!none.try_acquire_until(steady::now() + patience));
  std::promise<int> promise;
  whence::tracked_future<int> nothing(promise.get_future());
  const auto asked = steady::now();
  MUST(nothing.wait_for(patience) == std::future_status::timeout);
  MUST(steady::now() - asked >= patience);
  promise.set_value(3);
  MUST(nothing.wait_until(steady::now()) == std::future_status::ready && nothing.get() == 3);
}

// ---- semaphores, latches, barriers, futures, scopes

constexpr int permits = 3;
whence::tracked_counting_semaphore<permits> semaphore(permits);
std::atomic<int> inside{0};
whence::tracked_binary_semaphore binary(1);
guarded<std::mutex> by_binary;  // by the semaphore, not by its own lock

void semaphores(random_numbers& random) {
  bool entered = true;
  switch (random.below(4)) {
    case 0:
      entered = semaphore.try_acquire();
      break;
    case 1:
      entered = semaphore.try_acquire_for(50us);
      break;
    case 2:
      entered = semaphore.try_acquire_until(steady::now() + 50us);
      break;
    default:
      semaphore.acquire();
  }
  if (entered) {
    MUST(inside.fetch_add(1) < permits);
    work(random);
    inside.fetch_sub(1);
    semaphore.release();
  }
  binary.acquire();
  by_binary.count(random);
  binary.release();
}

// All pieces are made before they are read; the threads end while others still wait.
void latches_and_futures(random_numbers&) {
  constexpr std::size_t threads = 4;
  int pieces[threads] = {};
  whence::tracked_latch made(threads), read(threads);
  std::promise<int> go;
  const whence::tracked_shared_future<int> gone(go.get_future().share());
  whence::tracked_future<int> last;
  std::vector<std::jthread> all;
  for (std::size_t i = 0; i < threads; ++i) {
    std::promise<int> mine;
    last = whence::tracked_future<int>(mine.get_future());
    all.emplace_back([&, i, seen = gone, promise = std::move(mine)]() mutable {
      pieces[i] = seen.get() + static_cast<int>(i);
      if (i % 2 == 0) {
        made.arrive_and_wait();
      } else {
        made.count_down();
        made.wait();
      }
      MUST(made.try_wait());
      MUST(std::accumulate(std::begin(pieces), std::end(pieces), 0) == 4 * 10 + 0 + 1 + 2 + 3);
      read.count_down();
      promise.set_value(pieces[i]);
    });
  }
  go.set_value(10);
  last.wait();
  MUST(last.get() == 13);
  read.wait();
}

// Every thread adds one in each phase; the last to arrive checks, while no other thread may write.
struct phase_check {
  int* numbers;
  int* phase;
  void operator()() noexcept {
    ++*phase;
    for (int i = 0; i < 3; ++i) MUST(numbers[i] == *phase);
  }
};

void barriers(random_numbers&) {
  constexpr int phases = 20;
  int numbers[3] = {}, phase = 0;
  whence::tracked_barrier<phase_check> barrier(3, phase_check{numbers, &phase});
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < 3; ++i) {
      all.emplace_back([&, i] {
        for (int p = 1; p <= phases; ++p) {
          ++numbers[i];
          if (p == phases) return barrier.arrive_and_drop();
          if (p % 4 == i) {
            barrier.wait(barrier.arrive());
          } else {
            barrier.arrive_and_wait();
          }
          MUST(phase == p);
        }
      });
    }
  }
  MUST(phase == phases);
}

// A scope is one wait, though what runs inside takes locks, waits and enters scopes itself.
void scopes(random_numbers& random) {
  int ends[2];
  MUST(::pipe(ends) == 0);
  std::thread writer([&] { MUST(::write(ends[1], "x", 1) == 1); });
  {
    const whence::blocking_scope outer("pipe");
    const whence::blocking_scope inner;
    once(plain, random);
    semaphores(random);
    char byte = 0;
    MUST(::read(ends[0], &byte, 1) == 1 && byte == 'x');
  }
  writer.join();
  ::close(ends[0]);
  ::close(ends[1]);
  try {
    const whence::blocking_scope thrown_out_of;
    throw random.below(2);
  } catch (std::size_t) {
  }
}

// Threads that end right after their last unlock, while others still wait for the same locks.
void short_lives(random_numbers& random) {
  std::vector<std::jthread> all;
  const std::uint64_t seed = random();
  for (std::uint64_t i = 0; i < 4; ++i) {
    all.emplace_back([seed, i] {
      random_numbers mine(seed + i);
      const std::size_t turns = mine.below(5);
      for (std::size_t turn = 0; turn < turns; ++turn) exclusive(mine);
    });
  }
}

// Locks on the heap: the thread that leaves a lock last destroys it, right after the unlock, while
// threads that left before may not have returned from theirs yet.
template <class Mutex>
struct dying {
  Mutex lock{"dying"};
  int users = 3;
};

template <class Mutex>
void let_die() {
  std::vector<dying<Mutex>*> locks(200);
  for (auto*& d : locks) d = new dying<Mutex>;
  std::vector<std::jthread> all;
  for (int i = 0; i < 3; ++i) {
    all.emplace_back([&locks] {
      for (auto* const d : locks) {
        d->lock.lock();
        if (d->users == 3) std::this_thread::yield();
        const bool last = --d->users == 0;
        d->lock.unlock();
        if (last) delete d;
      }
    });
  }
}

void dying_locks(random_numbers& random) {
  if (random.below(2) == 0) return let_die<tracked_mutex<>>();
  let_die<whence::mutex>();
}

}  // namespace

#endif  // WHENCE_TESTS_STRESS_LOCKS_WAITS_HPP
