// SPDX-License-Identifier: Apache-2.0
//
// Parts of locks.cpp: profiles that are written, rates that change, children that are forked.
#ifndef WHENCE_TESTS_STRESS_LOCKS_PROFILES_HPP
#define WHENCE_TESTS_STRESS_LOCKS_PROFILES_HPP

#include "locks_common.hpp"
#include "locks_exclusion.hpp"

namespace {

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

// True if it is written, and begins as it should.
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

// Only this part sets them, so each returns its previous value.
void knobs(random_numbers& random) {
  static std::int64_t block_rate = -1, hold_rate = -1;
  static int fraction = -1;
  constexpr std::int64_t rates[] = {0, 1, 1, 100, 10'000, 1'000'000};
  const std::int64_t new_block_rate = rates[random.below(std::size(rates))];
  const std::int64_t old_block_rate = whence::set_block_profile_rate(new_block_rate);
  MUST(block_rate < 0 || old_block_rate == block_rate);
  block_rate = new_block_rate;

  const std::int64_t new_hold_rate = rates[random.below(std::size(rates))];
  const std::int64_t old_hold_rate = whence::set_mutex_hold_profile_rate(new_hold_rate);
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

// The forking thread's own locks: the one it holds, and the others.
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

// A child's work; 0 if all was well. The sanitizers' own locks do not survive a fork beside
// threads, so there it allocates nothing and starts no thread.
int child(private_locks& locks) {
  ::alarm(60);
  whence::set_block_profile_rate(1);
  whence::set_mutex_profile_fraction(1);
  whence::set_mutex_hold_profile_rate(1);
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

}  // namespace

#endif  // WHENCE_TESTS_STRESS_LOCKS_PROFILES_HPP
