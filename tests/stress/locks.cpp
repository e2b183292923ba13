// SPDX-License-Identifier: Apache-2.0
//
// Every instrumented lock and wait at once, while their profiles are written, the rates change,
// threads come and go, and children are forked that lock, wait and write profiles of their own.
//
// What must hold, and is checked all the time:
//   locks          pairs of plain numbers change under them alone: both are always equal, and in
//                  the end as many as all threads say to have counted.
//   waits          items are delivered once, permits are never exceeded, no phase begins before the
//                  last one ended, a timeout is never early.
//   profiles       no value is negative; what `mutex` and `mutex_hold` have recorded never becomes
//                  less, whatever the rates; with all waits ended `block` grows no more; one wait
//                  at the end is seen while it lasts, and counts once.
//   children       nobody waits in them, the locks they inherited unlock, and they exit with 0.
//
// locks [--seconds N]: fails for any of these, for a crash or a hang, and for a part that did not
// come to its turn. Without a data race; so ThreadSanitizer must have nothing to say. Helgrind and
// DRD know nothing of std::atomic, on which semaphores, latches, barriers and futures rest: they
// report the standard library's own.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <climits>
#include <condition_variable>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <future>
#include <iterator>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../sanitizers.hpp"
#include <whence/condition_variable.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/sync.hpp>

namespace {

using namespace std::chrono_literals;
using whence::tracked_condition_variable;
using whence::tracked_mutex;
using steady = std::chrono::steady_clock;

std::atomic<bool> stop{false};

[[gnu::format(printf, 1, 2), noreturn]] void fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fputs("FAILED: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  std::abort();
}

#define MUST(condition) ((condition) ? void() : fail("line %d: not %s", __LINE__, #condition))

class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u | 1) {}
  std::uint64_t operator()() noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  std::size_t below(std::size_t bound) noexcept { return (*this)() % bound; }

 private:
  std::uint64_t state_;
};

// Takes a while without waiting, so that others find a lock held.
void work(random_numbers& random) {
  volatile std::size_t left = random.below(64) == 0 ? 20'000 : random.below(200);
  while (left > 0) left = left - 1;
  if (random.below(256) == 0) std::this_thread::yield();
}

// ---- locks

// The least a mutex can be: whoever draws a number waits for it to be served.
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
  // Requires: the lock is held, maybe by others who read.
  void look() const { MUST(first == second); }

  void check_count() {
    const std::lock_guard hold(lock);
    MUST(first == second && first == counted.load());
  }

  Mutex lock;
  std::uint64_t first = 0, second = 0;
  std::atomic<std::uint64_t> counted{0};  // by the threads' own account; orders nothing
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

// ThreadSanitizer does not see pthread_mutex_clocklock, by which the standard library waits by the
// steady clock.
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

  // The next item; 0: there will be none.
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

// What nobody notifies, releases or gives ends in its time, and not before; a stop ends it at once.
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

// All pieces are made before anyone reads them; the threads end while others still wait.
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

// Each phase every thread adds one; the last one to arrive looks, while nobody else may write.
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

// Locks on the heap: whoever leaves one last ends it, right after the unlock, while those who left
// before may still be on their way out of theirs.
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

// ---- profiles

struct totals {
  std::int64_t count = 0, time = 0;
  bool operator==(const totals&) const = default;
};

const whence::profile& profile_named(const char* name) {
  const whence::profile* const p = whence::lookup(name);
  if (p == nullptr) fail("no profile %s", name);
  return *p;
}

totals total(const char* name) {
  totals sum;
  for (const whence::profile_row& row : profile_named(name).snapshot().rows) {
    if (row.values[0] < 0 || row.values[1] < 0 || row.stack.empty()) {
      fail("%s: a row of %" PRId64 " and %" PRId64 " with %zu frames", name, row.values[0],
           row.values[1], row.stack.size());
    }
    sum.count += row.values[0];
    sum.time += row.values[1];
  }
  return sum;
}

constexpr const char* names[] = {"block", "mutex", "mutex_hold"};
constexpr const char* first_lines[] = {"--- contention:\n", "--- mutex:\n", "mutex_hold profile: "};

// Whether it is written, and begins as it should.
bool write(std::size_t which, int debug) {
  std::string text;
  if (profile_named(names[which]).write_to(text, debug)) return false;
  return text.size() > 20 && (debug == 0 || text.starts_with(first_lines[which]));
}

void writing(random_numbers& random) {
  static totals last[3];  // by this part's one thread
  for (std::size_t i = 0; i < 3; ++i) {
    const totals now = total(names[i]);
    if (i > 0 && (now.count < last[i].count || now.time < last[i].time)) {
      fail("%s: %" PRId64 " and %" PRId64 ", after %" PRId64 " and %" PRId64, names[i], now.count,
           now.time, last[i].count, last[i].time);
    }
    last[i] = now;
  }
  MUST(write(random.below(3), static_cast<int>(random.below(2))));
}

// Nobody else sets them, so each returns what was set before.
void knobs(random_numbers& random) {
  static std::int64_t block_rate = -1, hold_rate = -1;
  static int fraction = -1;
  constexpr std::int64_t rates[] = {0, 1, 1, 100, 10'000, 1'000'000};
  const std::int64_t new_block_rate = rates[random.below(std::size(rates))];
  const std::int64_t old_block_rate = whence::set_block_profile_rate(new_block_rate);
  MUST(block_rate < 0 || old_block_rate == block_rate);
  block_rate = new_block_rate;

  const std::int64_t new_hold_rate = rates[random.below(std::size(rates))];
  const std::int64_t old_hold_rate = whence::set_mutex_hold_rate(new_hold_rate);
  MUST(hold_rate < 0 || old_hold_rate == hold_rate);
  hold_rate = new_hold_rate;

  constexpr int fractions[] = {0, 1, 1, 3, 100};
  const int new_fraction = fractions[random.below(std::size(fractions))];
  const int old_fraction = whence::set_mutex_profile_fraction(new_fraction);
  MUST(fraction < 0 || old_fraction == fraction);
  MUST(whence::set_mutex_profile_fraction(-1) == new_fraction);
  fraction = new_fraction;
  std::this_thread::sleep_for(1ms);
}

// ---- children

// The locks of the forking thread, which nobody else uses: the one it holds, and the others.
struct private_locks {
  tracked_mutex<> held{"inherited"};
  tracked_mutex<std::timed_mutex> timed;
  tracked_mutex<std::recursive_mutex> recursive;
  tracked_mutex<std::shared_timed_mutex> shared;
  tracked_mutex<ticket_lock> basic;
  whence::mutex own;
  tracked_condition_variable condition;

  bool all_work() {
    random_numbers random(5);
    held.unlock();
    if (!held.try_lock()) return false;
    {
      const std::scoped_lock hold(timed, recursive, shared, own);
      const std::lock_guard again(recursive);
      const std::lock_guard other(basic);
      std::unique_lock mine(held, std::adopt_lock);
      if (condition.wait_for(mine, 1us, [] { return false; })) return false;
    }
    const std::shared_lock one(shared), two(shared);
    return !shared.try_lock();
  }
};

// What a child does; 0: all was well. The sanitizers' own locks do not survive a fork beside
// threads, so there it allocates nothing and starts no thread.
int child(private_locks& locks) {
  ::alarm(60);
  whence::set_block_profile_rate(1);
  whence::set_mutex_profile_fraction(1);
  whence::set_mutex_hold_rate(1);
  if (!locks.all_work()) return 2;
  if (sanitized) return 0;
  const totals before = total("block");
  ::usleep(1000);
  if (total("block") != before) return 3;
  locks.held.lock();
  std::thread([&locks] { locks.basic.lock(); }).join();
  std::thread waiting([&locks] { const std::lock_guard hold(locks.held); });
  while (total("block").count == before.count) std::this_thread::yield();
  locks.held.unlock();
  waiting.join();
  for (std::size_t i = 0; i < 3; ++i) {
    if (!write(i, 0) || !write(i, 1)) return 4;
  }
  return total("block").count == before.count + 1 ? 0 : 5;
}

void forking(random_numbers&) {
  private_locks locks;
  locks.held.lock();
  const pid_t id = ::fork();
  if (id == 0) ::_exit(child(locks));
  MUST(id > 0);
  locks.held.unlock();
  int status = -1;
  while (::waitpid(id, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) fail("a forked child ended with status 0x%x", static_cast<unsigned>(status));
}

// ---- all of it

struct part {
  const char* name;
  int threads;
  void (*turn)(random_numbers&);
  std::atomic<std::uint64_t> turns{0};
};
part parts[] = {{"exclusive", 3, exclusive},
                {"shared", 3, reading},
                {"several", 2, several},
                {"queues", 1, queues},
                {"timeouts", 1, timeouts},
                {"semaphores", 4, semaphores},
                {"latches", 1, latches_and_futures},
                {"barriers", 1, barriers},
                {"scopes", 1, scopes},
                {"threads", 1, short_lives},
                {"dying", 1, dying_locks},
                {"profiles", 1, writing},
                {"knobs", 1, knobs},
                {"forks", 1, forking}};

void run(part& p, std::uint64_t seed) {
  random_numbers random(seed);
  while (!stop.load(std::memory_order_relaxed)) {
    p.turn(random);
    p.turns.fetch_add(1, std::memory_order_relaxed);
  }
}

void check_counts() {
  plain.check_count();
  nameless.check_count();
  timed.check_count();
  recursive.check_count();
  recursive_timed.check_count();
  shared.check_count();
  shared_timed.check_count();
  basic.check_count();
  own.check_count();
  by_binary.check_count();
  MUST(all_money() == 3000);
  for (int i = 0; i < permits; ++i) MUST(semaphore.try_acquire());
  MUST(!semaphore.try_acquire() && binary.try_acquire() && !binary.try_acquire());
}

// Everybody is gone: what is still in progress would grow.
void check_quiet() {
  for (const char* name : names) {
    const totals before = total(name);
    MUST(before.count > 0 && before.time > 0);
    std::this_thread::sleep_for(5ms);
    const totals after = total(name);
    if (after != before) {
      fail("%s grows with nobody there: %" PRId64 " and %" PRId64 ", then %" PRId64 " and %" PRId64,
           name, before.count, before.time, after.count, after.time);
    }
  }
}

// One wait, whose beginning is known from the profile itself.
void check_one_wait() {
  whence::set_block_profile_rate(1);
  whence::set_mutex_profile_fraction(1);
  const totals block = total("block"), mutex = total("mutex");
  tracked_mutex<> lock("last");
  lock.lock();
  std::thread waiting([&] { const std::lock_guard hold(lock); });
  while (total("block").count == block.count) std::this_thread::yield();
  const totals early = total("block");
  std::this_thread::sleep_for(2ms);
  const totals late = total("block");
  MUST(early.count == block.count + 1 && late.count == block.count + 1);
  MUST(late.time >= early.time + 2'000'000);
  lock.unlock();
  waiting.join();
  const totals end = total("block");
  MUST(end.count == block.count + 1 && end.time >= late.time);
  const totals charged = total("mutex");
  MUST(charged.count == mutex.count + 1 && charged.time >= mutex.time + 2'000'000);
  check_quiet();
}

void report(std::FILE* out) {
  for (const part& p : parts) {
    std::fprintf(out, "%-12s %2d threads %10" PRIu64 " turns\n", p.name, p.threads, p.turns.load());
  }
}

void on_hang(int) {
  std::fputs("FAILED: hangs\n", stderr);
  report(stderr);
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  unsigned seconds = 5;
  if (argc == 3 && std::strcmp(argv[1], "--seconds") == 0) {
    seconds = static_cast<unsigned>(std::atoi(argv[2]));
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: locks [--seconds N]\n");
    return 2;
  }
  ::signal(SIGALRM, on_hang);
  ::alarm(seconds + 120);
  whence::set_block_profile_rate(1);
  whence::set_mutex_profile_fraction(1);
  whence::set_mutex_hold_rate(1);

  std::vector<std::thread> threads;
  for (part& p : parts) {
    for (int i = 0; i < p.threads; ++i) {
      threads.emplace_back(run, std::ref(p), threads.size() + 17);
    }
  }
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  stop = true;
  for (std::thread& t : threads) t.join();

  report(stdout);
  check_counts();
  check_quiet();
  check_one_wait();
  bool fine = true;
  for (const part& p : parts) fine = fine && p.turns > 0;
  for (const char* name : names) {
    const totals t = total(name);
    std::printf("%-12s %10" PRId64 " events %12.3f s\n", name, t.count,
                static_cast<double>(t.time) / 1e9);
  }
  std::printf("%" PRIu64 " countings under locks, each once; %s\n",
              plain.first + nameless.first + timed.first + recursive.first + recursive_timed.first +
                  shared.first + shared_timed.first + basic.first + own.first + by_binary.first,
              fine ? "passed" : "FAILED");
  return fine ? 0 : 1;
}
