// SPDX-License-Identifier: Apache-2.0
//
// A month of a server in short: two scrapers of CPU time and two of wall-clock time whose windows
// overlap without a gap, and one each of the heap and of locks, beside one CPU and one wall-clock
// session that stay open from start to end. They sample at 1 kHz what month_server.hpp does, and
// are fed the stacks that a month would bring.
//
// month [--windows N] [--seconds N] [--stacks N] [--limit MIB] [LIBRARY...]
//
//   --windows 43200 --seconds 2400 --stacks 100000000 --limit 256     is the month
//
// What must hold at 1, 10, 50 and 100 % of the windows:
//   resident memory, descriptors, threads, rows and bytes of the tables   do not grow
//   every window of a scraper      has room for all its samples, if it is not eight times as long
//   as
//                                  it should be; and together a scraper's windows have seen every
//                                  stack that was fed
// and at the end a new stack of the heap, a new value of a bounded label and the name of a new lock
// are all there, and the samples' memory is given back.
#include <dirent.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "month_server.hpp"
#include <whence/allocator.hpp>
#include <whence/cpu.hpp>
#include <whence/knobs.hpp>
#include <whence/labels.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/state/process_state.hpp>
#include <whence/wall.hpp>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

struct settings {
  long windows = 800, seconds = 20, stacks = 200'000, limit_mib = 32;
} wanted;

std::atomic<int> failures{0};
std::atomic<long> windows{0}, rows{0}, unfit{0}, permanent_scrapes{0};
std::atomic<long> largest_fit{0}, smallest_unfit{1L << 60};  // rows of a window

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  ++failures;
}

double done() {
  return static_cast<double>(windows) / static_cast<double>(wanted.windows);
}
clock_type::duration length_of_window() {
  return std::chrono::nanoseconds(wanted.seconds * 4'000'000'000 / wanted.windows);
}
// How many stacks a window is fed.
long fed_to_window() {
  return 2 * wanted.stacks / wanted.windows;
}

void note_size(const whence::profile_snapshot& p) {
  const bool fits = std::none_of(
      p.header.comments.begin(), p.header.comments.end(), [](const std::string& comment) {
        return comment.find("of this window are on [overflow]") != comment.npos;
      });
  const auto size = static_cast<long>(p.rows.size());
  if (!fits) ++unfit;
  std::atomic<long>& bound = fits ? largest_fit : smallest_unfit;
  long before = bound;
  while ((fits ? size > before : size < before) && !bound.compare_exchange_weak(before, size)) {
  }
}

// A quarter of the windows. The next one opens before the last one closes.
template <class Session, class Options>
void scrape(month::feeder* fed) {
  Options options;
  options.hz = 1000;
  auto open = std::make_unique<Session>(options);
  long samples = 0;
  auto next = clock_type::now();
  for (long i = 1; i <= wanted.windows / 4; ++i) {
    for (int part = 1; fed != nullptr && part <= 10; ++part) {
      fed->feed(fed_to_window() * part / 10 - fed_to_window() * (part - 1) / 10);
      std::this_thread::sleep_until(next + length_of_window() * part / 10);
    }
    next = std::max(next + length_of_window(), clock_type::now() - length_of_window());
    std::this_thread::sleep_until(next);
    auto following = std::make_unique<Session>(options);
    open->stop();
    const whence::profile_snapshot p = open->snapshot();
    rows += static_cast<long>(p.rows.size());
    for (const whence::profile_row& row : p.rows) samples += row.values[0];
    note_size(p);
    ++windows;
    open = std::move(following);
  }
  if (fed != nullptr) must(samples >= fed->fed(), "a scraper's windows have seen all that was fed");
}

// Reads the profiles that only grow at the pace of a scraper: a window stands for 10 s, so every 15
// s is one and a half.
void scrape_permanent() {
  while (!month::stop) {
    for (const char* name : {"heap", "mutex"}) {
      std::string file;
      must(!whence::lookup(name)->write_to(file, 0) && !file.empty(), "a profile is written");
      ++permanent_scrapes;
    }
    std::this_thread::sleep_for(length_of_window() * 3 / 2);
  }
}

struct amounts {
  long resident_kib = 0, descriptors = 0, threads = 0, tables_kib = 0, permanent_rows = 0,
       sample_rows = 0;
};

long entries_of(const char* folder) {
  long count = -2;  // . and ..
  DIR* const d = ::opendir(folder);
  must(d != nullptr, "a folder of /proc is listed");
  while (d != nullptr && ::readdir(d) != nullptr) ++count;
  if (d != nullptr) ::closedir(d);
  return count;
}

amounts measure() {
  amounts now;
  long size = 0, resident = 0;
  std::FILE* const f = std::fopen("/proc/self/statm", "r");
  must(f != nullptr && std::fscanf(f, "%ld %ld", &size, &resident) == 2, "statm is read");
  if (f != nullptr) std::fclose(f);
  now.resident_kib = resident * 4;
  now.descriptors = entries_of("/proc/self/fd");
  now.threads = entries_of("/proc/self/task");
  whence::state::process_state& s = whence::state::attached();
  now.tables_kib = static_cast<long>(s.budget.used() / 1024);
  for (const char* name : {"heap", "mutex", "block"}) {
    now.permanent_rows += static_cast<long>(whence::lookup(name)->snapshot().rows.size());
  }
  whence::tables::open_window since_ever;
  since_ever.first = 1;
  for (whence::tables::sample_epochs* e : {&s.samplers.cpu, &s.samplers.wall}) {
    e->for_each(since_ever, [&now](const whence::tables::bucket&) { ++now.sample_rows; });
  }
  return now;
}

// Prints a line at 1, 10, 50 and 100 % of the windows.
void watch(const month::feeder& cpu, const month::feeder& wall) {
  amounts first;
  const auto begin = clock_type::now();
  std::puts(
      "  %   seconds  windows       fed  rows seen  resident KiB  descriptors  threads  "
      "tables KiB  permanent rows  samples' rows");
  for (const int percent : {1, 10, 50, 100}) {
    while (done() * 100 < percent) std::this_thread::sleep_for(5ms);
    const amounts now = measure();
    const std::chrono::duration<double> passed = clock_type::now() - begin;
    std::printf("%3d %9.1f %8ld %9ld %10ld %13ld %12ld %8ld %11ld %15ld %14ld\n", percent,
                passed.count(), windows.load(), cpu.fed() + wall.fed(), rows.load(),
                now.resident_kib, now.descriptors, now.threads, now.tables_kib, now.permanent_rows,
                now.sample_rows);
    std::fflush(stdout);
    must(now.tables_kib <= wanted.limit_mib * 1024, "the tables keep to their limit");
    if (percent == 10) first = now;  // before, the long sessions fill what they may
    if (percent < 10) continue;
    // The allocator's pages, and windows, come and go.
    must(now.resident_kib < first.resident_kib + 16 * 1024, "resident memory is flat");
    must(now.descriptors < first.descriptors + 64, "descriptors are flat");
    must(now.threads < first.threads + 8, "threads are flat");
  }
}

[[gnu::noinline]] void* leaks_at_the_end() {
  void* const p = whence::tracking_allocator<char>().allocate(12345);
  asm volatile("");
  return p;
}

void everything_new_is_there() {
  (void)whence::set_heap_profile_rate(1);
  void* leaked = nullptr;
  {
    const whence::scoped_labels scope("route", "/new-at-the-end");
    leaked = leaks_at_the_end();
  }
  bool stack = false, labelled = false, named = false;
  for (const whence::profile_row& row : whence::lookup("heap")->snapshot().rows) {
    if (row.number != 12345) continue;
    stack = row.stack.size() > 2;
    for (const auto& l : row.labels) labelled = labelled || l.value == "/new-at-the-end";
  }
  must(leaked != nullptr && stack, "a new allocation has its stack");
  must(labelled, "a new value of a label is there");
  (void)whence::set_block_profile_rate(1);
  whence::tracked_mutex<> m{"lock at the end"};
  m.lock();
  std::thread waiter([&m] {
    m.lock();
    m.unlock();
  });
  std::this_thread::sleep_for(50ms);
  m.unlock();
  waiter.join();
  for (const whence::profile_row& row : whence::lookup("block")->snapshot().rows) {
    for (const auto& l : row.labels) named = named || l.value == "lock at the end";
  }
  must(named, "a new lock has its name");
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> libraries;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    long* const number = name == "--windows"   ? &wanted.windows
                         : name == "--seconds" ? &wanted.seconds
                         : name == "--stacks"  ? &wanted.stacks
                         : name == "--limit"   ? &wanted.limit_mib
                                               : nullptr;
    if (number == nullptr) {
      libraries.emplace_back(name);
    } else if (++i < argc) {
      *number = std::atol(argv[i]);
    }
  }
  whence::set_memory_limit(static_cast<std::size_t>(wanted.limit_mib) << 20);
  (void)whence::set_mutex_profile_fraction(1);
  whence::cpu_session cpu({.hz = 1000});
  whence::wall_session wall({.hz = 1000});
  must(!cpu.error() && !wall.error(), "the long sessions begin");
  whence::state::process_state& s = whence::state::attached();
  month::feeder fed_cpu(s.samplers.cpu), fed_wall(s.samplers.wall);

  std::vector<std::thread> scrapers, others;
  others.emplace_back(month::serve, 1);
  others.emplace_back(month::serve, 2);
  others.emplace_back(month::start_threads);
  others.emplace_back(month::load_plugins, libraries);
  others.emplace_back(scrape_permanent);
  using whence::cpu_options, whence::cpu_session, whence::wall_options, whence::wall_session;
  scrapers.emplace_back(scrape<cpu_session, cpu_options>, &fed_cpu);
  scrapers.emplace_back(scrape<cpu_session, cpu_options>, nullptr);
  scrapers.emplace_back(scrape<wall_session, wall_options>, &fed_wall);
  scrapers.emplace_back(scrape<wall_session, wall_options>, nullptr);

  watch(fed_cpu, fed_wall);
  for (auto& t : scrapers) t.join();
  month::stop = true;
  for (auto& t : others) t.join();
  std::printf(
      "%ld stacks fed; %ld requests, %ld threads, %ld loads of libraries, %ld scrapes of heap and "
      "mutex; %ld windows that had no room\n",
      fed_cpu.fed() + fed_wall.fed(), month::requests.load(), month::threads.load(),
      month::plugins.load(), permanent_scrapes.load(), unfit.load());
  std::printf("the largest window without a loss has %ld rows", largest_fit.load());
  if (unfit > 0) std::printf(", the smallest with one %ld", smallest_unfit.load());
  std::puts("");
  must(rows > 0, "windows have stacks");
  // On a machine with much else to do, a window may become as long as many.
  must(unfit == 0 || smallest_unfit > 8 * fed_to_window(),
       "every window of up to eight times its length has room for all its samples");
  everything_new_is_there();
  cpu.stop();
  wall.stop();
  must(s.budget.cpu_samples.used() == 0 && s.budget.wall_samples.used() == 0,
       "samples give their memory back");
  std::puts(failures == 0 ? "passed" : "FAILED");
  return failures == 0 ? 0 : 1;
}
