// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"
#include <whence/tables/sample_epochs.hpp>

using namespace whence;
using tables::open_window;
using tables::sample_epochs;

namespace {

struct workplace {
  tables::losses lost;
  sys::memory_budget share{std::size_t{256} << 20};
  sample_epochs all{7, share, lost};

  std::int64_t counted(const open_window& w) {
    std::int64_t sum = 0;
    all.for_each(w, [&sum](const tables::bucket& b) { sum += b.counters[0].load(); });
    return sum;
  }
};

void count(const sample_epochs::entry& epoch, std::uintptr_t pc) {
  if (tables::bucket* const b = epoch.record({{&pc, 1, false, true}})) b->add(0, 1);
}

}  // namespace

TEST_CASE("an epoch that a handler still uses is neither freed nor merged") {
  workplace w;
  open_window first, second;
  REQUIRE(w.all.open(first));
  REQUIRE(w.all.open(second));
  std::optional<sample_epochs::entry> late(w.all);
  count(*late, 0x1000);
  w.all.close(second);
  CHECK(w.all.count() == 2);
  count(*late, 0x2000);
  CHECK(w.counted(first) == 2);
  // New samples go to the window that is left.
  const std::uint64_t now = sample_epochs::entry(w.all).number();
  CHECK(now != late->number());
  count(sample_epochs::entry(w.all), 0x3000);
  CHECK(w.counted(first) == 3);
  late.reset();
  CHECK(w.all.count() == 1);
  CHECK(w.counted(first) == 3);
  late.emplace(w.all);
  w.all.close(first);
  count(*late, 0x4000);
  CHECK(w.share.used() > 0);
  late.reset();
  CHECK(w.all.count() == 0);
  CHECK(w.share.used() == 0);
}

// Each sample is counted in all windows that are open around it, while others come and go.
TEST_CASE("samples of many threads are all in a window that stays, whatever windows come and go") {
  workplace w;
  open_window whole;
  REQUIRE(w.all.open(whole));
  constexpr int threads = 4;
  constexpr std::uintptr_t samples = 50'000;
  std::atomic<int> left{threads};
  std::vector<std::thread> recorders;
  for (std::uintptr_t t = 0; t < threads; ++t) {
    recorders.emplace_back([&w, &left, t] {
      for (std::uintptr_t i = 0; i < samples; ++i) {
        const sample_epochs::entry epoch(w.all);
        // Every tenth stack is met again.
        count(epoch, 0x100000 + (i % 10 == 0 ? i % 100 : t * samples + i));
      }
      --left;
    });
  }
  std::int64_t windows = 0;
  while (left != 0) {
    open_window a, b;
    REQUIRE(w.all.open(a));
    REQUIRE(w.all.open(b));
    w.all.close(a);
    const std::int64_t before = w.counted(b);
    CHECK(w.counted(b) >= before);
    w.all.close(b);
    ++windows;
  }
  for (auto& t : recorders) t.join();
  CHECK(windows > 0);
  CHECK(w.counted(whole) == threads * static_cast<std::int64_t>(samples));
  CHECK(w.lost.any() == false);
  w.all.close(whole);
  CHECK(w.share.used() == 0);
}

TEST_CASE("the address space is as large after ten thousand windows as after ten") {
  if (sanitized) return;
  const auto pages = [] {
    long n = 0;
    std::FILE* const f = std::fopen("/proc/self/statm", "r");
    REQUIRE(std::fscanf(f, "%ld", &n) == 1);
    std::fclose(f);
    return n;
  };
  workplace w;
  std::uintptr_t pc = 0x1000;
  const auto windows = [&](int n) {
    for (int i = 0; i < n; ++i) {
      open_window one;
      REQUIRE(w.all.open(one));
      for (int k = 0; k < 20; ++k) count(sample_epochs::entry(w.all), pc++);
      w.all.close(one);
    }
  };
  windows(10);
  const long before = pages();
  windows(10'000);
  CHECK(pages() - before < 1024);
}

TEST_CASE("label values leave a quarter of an epoch's room to stacks, and then are [other]") {
  sys::memory_budget share(std::size_t{4} << 20);
  tables::losses lost;
  tables::sample_epochs epochs(7, share, lost);
  tables::open_window w;
  REQUIRE(epochs.open(w));
  const std::string_view request = "request";
  const auto record = [&](std::uint64_t id, std::uintptr_t pc) {
    const tables::replaced_label l{&request, "12345678", id};
    std::atomic<std::uint64_t> words[2]{tables::label_values::head(l), id};
    const tables::label_values values{words, 2, id};
    tables::key k{{&pc, 1, false, true}, id, 0, 3};
    k.values = &values;
    const tables::sample_epochs::entry e(epochs);
    tables::bucket* const b = e.record(k);
    REQUIRE(b != nullptr);
    b->add(0, 1);
    return b;
  };
  tables::bucket* const first = record(1, 0x1000);
  REQUIRE(first->values().size == 2);
  CHECK(first->values().words[1].load() == 1);
  CHECK(record(1, 0x1000) == first);
  std::uint64_t id = 1;
  while (!record(++id, 0x1000)->values().empty()) REQUIRE(id < 100'000);
  CHECK(id > 5'000);
  CHECK(lost.of(tables::loss::passing_labels) == 1);
  CHECK(record(1, 0x1000) == first);
  CHECK(record(++id, 0x1000)->overflow() == false);
  for (std::uintptr_t pc = 1; pc < 2'000; ++pc) CHECK_FALSE(record(++id, 0x2000 + pc)->overflow());
  CHECK(lost.of(tables::loss::samples) == 0);

  // A merged epoch has them still.
  tables::open_window second;
  REQUIRE(epochs.open(second));
  record(1, 0x1000);
  epochs.close(second);
  std::int64_t of_first = 0;
  epochs.for_each(w, [&](const tables::bucket& b) {
    if (!b.values().empty() && b.values().words[1].load() == 1) {
      of_first += b.counters[0].load();
    }
  });
  CHECK(of_first == 4);
  epochs.close(w);
  CHECK(share.used() == 0);
}
