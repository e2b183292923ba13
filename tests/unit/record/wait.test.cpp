// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <thread>

#include "support/wait_probe.hpp"
#include <whence/instruments/wait.hpp>
#include <whence/knobs.hpp>
#include <whence/profile.hpp>
#include <whence/record/wait.hpp>
#include <whence/registry.hpp>
#include <whence/sync.hpp>

using namespace whence;
using whence_tests::own;
using whence_tests::sleep_ms;
using whence_tests::wait_rates;
using whence_tests::waits_of;

namespace {

// A bucket of the test's own profile.
tables::bucket& bucket_of(profile& p) {
  const std::uintptr_t pc = 0x1000;
  const tables::key k{{&pc, 1, false, false}, 0, 0, 0};
  return *state::attached().stacks.record(p.rows(), k);
}

}  // namespace

// A wait of length d < R is recorded with probability p = d/R as R; the sum over n waits has mean
// n d and a standard deviation of R sqrt(n p (1 - p)). For n = 100 000, d = 0.1 ms, R = 1 ms that
// is 0.095 s of 10 s; the waits of 1 ms add exactly 10 s. 5 % of 20 s are 10.5 of them. The count
// has the same relative deviation.
TEST_CASE("sampled waits stand for all waits: 100 000 of 0.1 ms and 10 000 of 1 ms at 1 ms") {
  profile& p = own<"wait.unbiased">::block();
  tables::bucket& b = bucket_of(p);
  constexpr std::int64_t rate = 1'000'000;
  for (int i = 0; i < 100'000; ++i) {
    record::count_wait(b, 100'000, rate);
    if (i % 10 == 0) record::count_wait(b, 1'000'000, rate);
  }
  const auto all = waits_of(p);
  CHECK(std::abs(static_cast<double>(all.ns) / 20e9 - 1) < 0.05);
  CHECK(std::abs(static_cast<double>(all.count) / 110e3 - 1) < 0.05);
}

// Lengths that divide the rate badly show whether counts are rounded without bias: R/d = 1.43. The
// standard deviation of the count is below 0.3 %; the bound is more than 6 of them.
TEST_CASE("counts are whole, and right on average") {
  profile& p = own<"wait.whole">::block();
  tables::bucket& b = bucket_of(p);
  for (int i = 0; i < 100'000; ++i) record::count_wait(b, 700, 1000);
  const auto all = waits_of(p);
  CHECK(std::abs(static_cast<double>(all.count) / 100e3 - 1) < 0.02);
  CHECK(all.ns % 1000 == 0);
  CHECK(std::abs(static_cast<double>(all.ns) / 70e6 - 1) < 0.02);
}

TEST_CASE("at rate 1 every wait counts unscaled, one of no length as a nanosecond") {
  profile& p = own<"wait.exact">::block();
  tables::bucket& b = bucket_of(p);
  for (const std::int64_t d : {5, 0, -7, 1, 1000}) record::count_wait(b, d, 1);
  CHECK(waits_of(p) == whence_tests::wait_totals{5, 5 + 1 + 1 + 1 + 1000});
}

TEST_CASE("recorded values do not change with the rate") {
  profile& p = own<"wait.rates">::block();
  const wait_rates every(1);
  const auto wait_here = [&p] {
    instruments::wait w(p, 0, __builtin_return_address(0));
    sleep_ms(2);
    w.end();
  };
  wait_here();
  const auto before = waits_of(p);
  CHECK(before.count == 1);
  for (const std::int64_t rate : {std::int64_t{0}, std::int64_t{-1}, INT64_MAX, INT64_MIN}) {
    set_block_profile_rate(rate);
    CHECK(waits_of(p) == before);
  }
  wait_here();  // off
  CHECK(waits_of(p) == before);
  set_block_profile_rate(INT64_MAX);
  wait_here();  // once in 13 days
  CHECK(waits_of(p) == before);
  set_block_profile_rate(1);
  wait_here();
  CHECK(waits_of(p).count == 2);
}

TEST_CASE("a wait in progress counts its time so far, once, and never less than before") {
  profile& p = own<"wait.progress">::block();
  const wait_rates every(1'000'000);
  std::atomic<bool> over{false};
  std::thread sleeper([&] {
    instruments::wait w(p, 0, __builtin_return_address(0));
    while (!over) sleep_ms(1);
    w.end();
  });
  whence_tests::wait_totals last;
  for (int i = 0; i < 20 || last.count == 0; ++i) {
    const auto now = waits_of(p);
    CHECK(now.count >= last.count);
    CHECK(now.count <= 1);
    CHECK(now.ns >= last.ns);
    CHECK((now.count == 0) == (now.ns == 0));
    last = now;
    sleep_ms(1);
  }
  CHECK(last.count == 1);
  CHECK(last.ns >= 1'000'000);
  over = true;
  sleeper.join();
  const auto all = waits_of(p);
  CHECK(all.count == 1);
  CHECK(all.ns >= last.ns);
}

TEST_CASE("an exception leaves no event, and no wait going on") {
  profile& p = own<"wait.exception">::block();
  const wait_rates every(1);
  try {
    instruments::wait w(p, 0, __builtin_return_address(0));
    sleep_ms(1);
    throw 5;
  } catch (int) {
  }
  CHECK(waits_of(p).count == 0);
  { instruments::wait w(p, 0, __builtin_return_address(0)); }
  sleep_ms(1);
  CHECK(waits_of(p).count == 0);
}

TEST_CASE("a wait within a wait is not counted again, the next one is, on any thread") {
  profile& p = own<"wait.nested">::block();
  const wait_rates every(1);
  {
    basic_blocking_scope<own<"wait.nested">> outer;
    for (int i = 0; i < 3; ++i) basic_blocking_scope<own<"wait.nested">> inner;
  }
  CHECK(waits_of(p).count == 1);
  { basic_blocking_scope<own<"wait.nested">> next; }
  CHECK(waits_of(p).count == 2);

  // Begins here and ends there, as in a coroutine.
  auto* const moved = new basic_blocking_scope<own<"wait.nested">>;
  std::thread([moved] { delete moved; }).join();
  CHECK(waits_of(p).count == 3);
  { basic_blocking_scope<own<"wait.nested">> here; }
  CHECK(waits_of(p).count == 4);
}

// Readers must not lose a wait between its two states: the number of waits that have begun and were
// seen never goes down. Every thread's waits are longer than the rate.
TEST_CASE("totals never go down while threads wait over and over") {
  profile& p = own<"wait.monotone">::block();
  const wait_rates every(1);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        instruments::wait w(p, 0, __builtin_return_address(0));
        std::this_thread::yield();
        w.end();
      }
    });
  }
  whence_tests::wait_totals last;
  while (last.count == 0) last = waits_of(p);
  int dips = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto now = waits_of(p);
    dips += now.count < last.count || now.ns < last.ns ? 1 : 0;
    last = now;
  }
  stop = true;
  for (auto& t : threads) t.join();
  CHECK(dips == 0);
}
