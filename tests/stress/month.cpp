// SPDX-License-Identifier: Apache-2.0
//
// A month of a server in short: scrapers whose windows overlap without a gap, at 1 kHz on stacks
// most of which are new, beside one CPU and one wall-clock session that stay open from start to
// end; each request has a label with its number, and threads come and go. The memory limit is
// small, so that what would fill it in a month fills it in seconds.
//
// What must hold at 10, 50 and 100 % of the time:
//   resident memory, descriptors and the bytes of the tables   do not grow
//   every window of a scraper                                  has room for all its samples
// and at the end a new stack of the heap, a new value of a bounded label and the name of a new lock
// are all there.
//
// month [--seconds N]: fails if one of these does not hold.
#include <dirent.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

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

std::atomic<bool> stop{false};
std::atomic<int> failures{0};
std::atomic<long> requests{0}, windows{0}, stacks{0}, unfit{0};

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  ++failures;
}

// 2^60 different stacks.
template <int N>
[[gnu::noinline]] void descend(std::uint64_t path, int depth) {
  if (depth == 0) {
    for (volatile int i = 0; i < 20'000;) i = i + 1;
    return;
  }
  if (path % 2 != 0) {
    descend<(N * 2 + 1) % 64>(path / 2, depth - 1);
  } else {
    descend<(N * 2 + 7) % 64>(path / 2, depth - 1);
  }
  asm volatile("");  // not a tail call
}

void serve(unsigned seed) {
  std::mt19937_64 random(seed);
  while (!stop) {
    const whence::scoped_labels scope{{"request", ++requests}, {"tenant", random() % 50}};
    descend<0>(random(), 60);
  }
}

void start_threads() {
  while (!stop) {
    std::thread([] {
      const whence::scoped_labels scope("request", ++requests);
      std::this_thread::sleep_for(1ms);
    }).join();
  }
}

// The next window opens before the last one closes.
template <class Session, class Options>
void scrape() {
  Options options;
  options.hz = 1000;
  auto open = std::make_unique<Session>(options);
  while (!stop) {
    std::this_thread::sleep_for(40ms);
    auto next = std::make_unique<Session>(options);
    open->stop();
    const whence::profile_snapshot p = open->snapshot();
    stacks += static_cast<long>(p.rows.size());
    for (const std::string& comment : p.header.comments) {
      if (comment.find("of this window are on [overflow]") != comment.npos) ++unfit;
    }
    ++windows;
    open = std::move(next);
  }
}

struct amounts {
  long resident_kib = 0, descriptors = 0, tables_kib = 0;
};

amounts measure() {
  amounts now;
  long size = 0, resident = 0;
  std::FILE* const f = std::fopen("/proc/self/statm", "r");
  must(f != nullptr && std::fscanf(f, "%ld %ld", &size, &resident) == 2, "statm is read");
  if (f != nullptr) std::fclose(f);
  now.resident_kib = resident * 4;
  DIR* const d = ::opendir("/proc/self/fd");
  must(d != nullptr, "descriptors are listed");
  while (d != nullptr && ::readdir(d) != nullptr) ++now.descriptors;
  if (d != nullptr) ::closedir(d);
  now.tables_kib = static_cast<long>(whence::state::attached()->budget.used() / 1024);
  return now;
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
  int seconds = 20;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--seconds") seconds = std::atoi(argv[i + 1]);
  }
  whence::set_memory_limit(std::size_t{8} << 20);
  whence::cpu_session cpu({.hz = 1000});
  whence::wall_session wall({.hz = 1000});
  must(!cpu.error() && !wall.error(), "the long sessions begin");
  std::vector<std::thread> threads;
  threads.emplace_back(serve, 1);
  threads.emplace_back(serve, 2);
  threads.emplace_back(start_threads);
  threads.emplace_back(scrape<whence::cpu_session, whence::cpu_options>);
  threads.emplace_back(scrape<whence::cpu_session, whence::cpu_options>);
  threads.emplace_back(scrape<whence::wall_session, whence::wall_options>);
  threads.emplace_back(scrape<whence::wall_session, whence::wall_options>);

  amounts first;
  std::puts("   %   windows    stacks  resident KiB  descriptors  tables KiB");
  for (int percent = 10, before = 0; percent <= 100; before = percent, percent += 10) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10 * seconds * (percent - before)));
    if (percent != 10 && percent != 50 && percent != 100) continue;
    const amounts now = measure();
    std::printf("%4d %9ld %9ld %13ld %12ld %11ld\n", percent, windows.load(), stacks.load(),
                now.resident_kib, now.descriptors, now.tables_kib);
    if (percent == 10) first = now;
    // The long sessions may still fill their halves, and the allocator's pages come and go.
    must(now.resident_kib < first.resident_kib + 16 * 1024, "resident memory is flat");
    must(now.descriptors < first.descriptors + 64, "descriptors are flat");
    must(now.tables_kib <= 8 * 1024, "the tables keep to their limit");
  }
  stop = true;
  for (auto& t : threads) t.join();
  std::printf("%ld requests, %ld windows that had no room\n", requests.load(), unfit.load());
  must(windows > 0 && stacks > 0, "windows have stacks");
  must(unfit == 0, "every window has room for all its samples");
  everything_new_is_there();
  cpu.stop();
  wall.stop();
  const whence::tables::memory_shares& memory = whence::state::attached()->budget;
  must(memory.cpu_samples.used() == 0 && memory.wall_samples.used() == 0,
       "samples give their memory back");
  std::puts(failures == 0 ? "passed" : "FAILED");
  return failures == 0 ? 0 : 1;
}
