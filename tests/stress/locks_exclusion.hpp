// SPDX-License-Identifier: Apache-2.0
//
// Parts of locks.cpp: pairs of plain numbers that change under locks of every kind.
#ifndef WHENCE_TESTS_STRESS_LOCKS_EXCLUSION_HPP
#define WHENCE_TESTS_STRESS_LOCKS_EXCLUSION_HPP

#include "locks_common.hpp"

namespace {

// The smallest mutex: a thread draws a number and waits for its turn.
class ticket_lock {
 public:
  void lock() noexcept {
    const std::uint32_t mine = next_.fetch_add(1, std::memory_order_relaxed);
    for (;;) {
      const std::uint32_t now = serving_.load(std::memory_order_acquire);
      if (now == mine) return;
      serving_.wait(now, std::memory_order_acquire);
    }
  }
  void unlock() noexcept {
    serving_.fetch_add(1, std::memory_order_release);
    serving_.notify_all();
  }

 private:
  std::atomic<std::uint32_t> next_{0}, serving_{0};
};

// A lock and what it guards.
template <class Mutex>
struct guarded {
  guarded() = default;
  explicit guarded(const char* name) : lock(name) {}

  // Requires: the lock is held, by this thread alone.
  void count(random_numbers& random) {
    MUST(first == second);
    ++first;
    work(random);
    ++second;
    counted.fetch_add(1, std::memory_order_relaxed);
  }
  // Requires: the lock is held, maybe by other readers.
  void look() const { MUST(first == second); }

  void check_count() {
    const std::lock_guard hold(lock);
    MUST(first == second && first == counted.load());
  }

  Mutex lock;
  std::uint64_t first = 0, second = 0;
  std::atomic<std::uint64_t> counted{0};  // counted by the threads; gives no order
};

guarded<tracked_mutex<>> plain{"plain"}, nameless;
guarded<tracked_mutex<std::timed_mutex>> timed{"timed"};
guarded<tracked_mutex<std::recursive_mutex>> recursive{"recursive"};
guarded<tracked_mutex<std::recursive_timed_mutex>> recursive_timed{"recursive_timed"};
guarded<tracked_mutex<std::shared_mutex>> shared{"shared"};
guarded<tracked_mutex<std::shared_timed_mutex>> shared_timed{"shared_timed"};
guarded<tracked_mutex<ticket_lock>> basic{"basic"};
guarded<whence::mutex> own{"own"};

template <class G>
void once(G& g, random_numbers& random) {
  const std::lock_guard hold(g.lock);
  g.count(random);
}

template <class G>
void by_trial(G& g, random_numbers& random) {
  const std::unique_lock hold(g.lock, std::try_to_lock);
  if (hold) g.count(random);
}

// ThreadSanitizer does not know pthread_mutex_clocklock, which the standard library uses to wait by
// the steady clock.
constexpr bool any_clock = !thread_sanitized;

template <class G>
void in_time(G& g, random_numbers& random) {
  const auto start = steady::now();
  std::unique_lock hold(g.lock, std::defer_lock);
  if (any_clock && random.below(2) == 0) {
    if (!hold.try_lock_for(100us)) MUST(steady::now() - start >= 100us);
  } else {
    const auto deadline = std::chrono::system_clock::now() + 100us;
    if (!hold.try_lock_until(deadline)) MUST(std::chrono::system_clock::now() >= deadline);
  }
  if (hold) g.count(random);
}

template <class G>
void again_and_again(G& g, random_numbers& random) {
  const std::lock_guard outer(g.lock);
  const std::lock_guard middle(g.lock);
  const std::unique_lock inner(g.lock, std::try_to_lock);
  MUST(inner.owns_lock());
  g.count(random);
}

void exclusive(random_numbers& random) {
  switch (random.below(16)) {
    case 0:
      return by_trial(plain, random);
    case 1:
      return by_trial(shared, random);
    case 2:
      return by_trial(recursive, random);
    case 3:
      return once(nameless, random);
    case 4:
      return once(timed, random);
    case 5:
      return in_time(timed, random);
    case 6:
      return again_and_again(recursive, random);
    case 7:
      return again_and_again(recursive_timed, random);
    case 8:
      return in_time(recursive_timed, random);
    case 9:
      return once(shared, random);
    case 10:
      return once(shared_timed, random);
    case 11:
      return in_time(shared_timed, random);
    case 12:
      return once(basic, random);
    case 13:
      return by_trial(own, random);
    case 14:
      return once(own, random);
    default:
      return once(plain, random);
  }
}

void reading(random_numbers& random) {
  switch (random.below(8)) {
    case 0:
      return once(shared, random);
    case 1:
      return in_time(shared_timed, random);
    case 2: {
      const std::shared_lock hold(shared.lock, std::try_to_lock);
      if (hold) shared.look();
      return;
    }
    case 3: {
      const auto deadline = std::chrono::system_clock::now() + 100us;
      const std::shared_lock hold(shared_timed.lock, deadline);
      if (!hold) MUST(std::chrono::system_clock::now() >= deadline);
      if (hold) shared_timed.look();
      return;
    }
    case 4: {
      if (!any_clock) return;
      const auto start = steady::now();
      const std::shared_lock hold(shared_timed.lock, 100us);
      if (!hold) MUST(steady::now() - start >= 100us);
      if (hold) shared_timed.look();
      return;
    }
    case 5: {
      const std::shared_lock hold(shared_timed.lock);
      shared_timed.look();
      return;
    }
    default: {
      const std::shared_lock hold(shared.lock);
      shared.look();
      work(random);
      shared.look();
      return;
    }
  }
}

// Money goes from one account to another, under both locks; the sum stays.
template <class Mutex>
struct account {
  tracked_mutex<Mutex> lock{"account"};
  std::int64_t money = 1000;
};
account<std::mutex> first_account;
account<std::recursive_mutex> second_account;
account<std::shared_mutex> third_account;

void pay(std::int64_t& from, std::int64_t& to) {
  from -= 7;
  to += 7;
}

std::int64_t all_money() {
  return first_account.money + second_account.money + third_account.money;
}

void several(random_numbers& random) {
  switch (random.below(4)) {
    case 0: {
      const std::scoped_lock hold(second_account.lock, first_account.lock);
      pay(second_account.money, first_account.money);
      return work(random);
    }
    case 1: {
      const std::scoped_lock hold(first_account.lock, third_account.lock);
      pay(first_account.money, third_account.money);
      return work(random);
    }
    case 2: {
      std::unique_lock one(third_account.lock, std::defer_lock);
      std::unique_lock two(second_account.lock, std::defer_lock);
      std::lock(one, two);
      pay(third_account.money, second_account.money);
      return work(random);
    }
    default: {
      std::shared_lock three(third_account.lock, std::defer_lock);
      std::unique_lock two(second_account.lock, std::defer_lock);
      std::lock(three, two, first_account.lock);
      MUST(all_money() == 3000);
      first_account.lock.unlock();
      return;
    }
  }
}

}  // namespace

#endif  // WHENCE_TESTS_STRESS_LOCKS_EXCLUSION_HPP
