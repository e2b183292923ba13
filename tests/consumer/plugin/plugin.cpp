// SPDX-License-Identifier: Apache-2.0
#include "plugin.hpp"

#include <unistd.h>

#include <string>
#include <vector>

#include <whence/whence.hpp>

namespace {

struct holder {
  whence::tracked<whence::custom_profile<"app.sessions">> entry;
  std::vector<int, whence::tracking_allocator<int>> numbers;
};

holder* held = nullptr;

}  // namespace

extern "C" __attribute__((visibility("default"))) void plugin_open(plugin_report* report) {
  held = new holder;
  held->numbers.resize(1000);
  report->heap = whence::lookup("heap");
  report->sessions = whence::lookup("app.sessions");
  report->entries = whence::lookup("app.sessions")->count();
  report->allocation = held->numbers.capacity() * sizeof(int);
}

// It never runs in this program.
extern "C" __attribute__((visibility("default"))) void plugin_connect() {
  static whence::tracked<whence::custom_profile<"plugin.connections">> entry;
}

extern "C" __attribute__((visibility("default"))) void plugin_sample() {
  const whence::cpu_session cpu;
  const whence::wall_session wall;
  std::string text;
  (void)whence::lookup("goroutine")->write_to(text, 1);
  usleep(20'000);
}

extern "C" __attribute__((visibility("default"))) void plugin_close(plugin_report* report) {
  delete held;
  held = nullptr;
  report->entries = whence::lookup("app.sessions")->count();
}
