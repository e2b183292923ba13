// SPDX-License-Identifier: Apache-2.0
//
// Only records, in a thread that does not pause, while a plugin that reads is loaded: `late_reader
// PLUGIN`. All names that the thread used before keep working, kept references too.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include <whence/recording.hpp>

namespace {

using entries = whence::custom_profile<"modules.entries">;

// Keeps what it found first, as a program's own registry may.
struct keeping {
  static constexpr bool enabled = true;
  static whence::profile& heap() noexcept {
    static whence::profile& kept = whence::named_registry<"modules">::heap();
    return kept;
  }
  static whence::profile& block() noexcept { return heap(); }
  static whence::profile& mutex() noexcept { return heap(); }
  static whence::profile& threadcreate() noexcept { return heap(); }
};

void record(whence::tracked_mutex<std::mutex, keeping>& m) {
  const whence::tracked<entries> entry;
  const std::vector<int, whence::tracking_allocator<int, keeping>> numbers(1000);
  const std::lock_guard hold(m);
  const whence::blocking_scope wait("late");
  const whence::scoped_labels labels{{"part", "late"}};
}

}  // namespace

int main(int, char** argv) {
  std::atomic<bool> stop{false};
  std::atomic<int> rounds{0};
  whence::tracked_mutex<std::mutex, keeping> m;
  const auto work = [&] {
    for (; !stop; ++rounds) record(m);
  };
  std::thread one(work);
  std::thread two(work);
  // Even on a busy machine, the thread records before the plugin comes, and after.
  const auto let_record = [&rounds] {
    for (const int begun = rounds; rounds < begun + 100;) usleep(100);
  };
  let_record();
  void* const plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) std::fprintf(stderr, "%s\n", dlerror());
  whence::set_heap_profile_rate(1);
  let_record();
  stop = true;
  one.join();
  two.join();
  auto* const read = reinterpret_cast<const char* (*)(const char*)>(
      plugin == nullptr ? nullptr : dlsym(plugin, "read_profile"));
  if (read == nullptr) return 2;
  const std::string_view all = read("modules.entries");
  if (all.find("total 0\n") == std::string_view::npos) {
    std::fprintf(stderr, "late_reader: entries are left: %.40s\n", all.data());
    return 1;
  }
  return 0;
}
