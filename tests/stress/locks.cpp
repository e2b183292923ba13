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
//   children       no thread waits in them, the locks they inherited unlock, and they exit with 0.
//
// locks [--seconds N]: fails for any of these, for a crash or a hang, and for a part that never
// ran. It has no data race, so ThreadSanitizer must report nothing. Helgrind and DRD do not know
// std::atomic, on which semaphores, latches, barriers and futures rest: they report the standard
// library's own.
#include "locks_common.hpp"
#include "locks_exclusion.hpp"
#include "locks_profiles.hpp"
#include "locks_waits.hpp"

namespace {

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

// All threads have ended: waits in progress would grow.
void check_quiet() {
  for (const char* name : names) {
    const totals before = total(name);
    MUST(before.count > 0 && before.time > 0);
    std::this_thread::sleep_for(5ms);
    const totals after = total(name);
    if (after != before) {
      fail("%s grows without waiters: %" PRId64 " and %" PRId64 ", then %" PRId64 " and %" PRId64,
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
  whence::set_mutex_hold_profile_rate(1);

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
