// SPDX-License-Identifier: Apache-2.0
//
// Hunting leaks: a server that forgets some of its threads and sessions, profiled twice. What the
// second profile has and the first has not leaked between them, by the stack that made it.
//
//   $ ./leaks
//   $ go tool pprof -top -base threads.1.pb.gz threads.2.pb.gz
//   $ go tool pprof -top -base sessions.1.pb.gz sessions.2.pb.gz
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <whence/whence.hpp>

namespace shop {

using sessions = whence::custom_profile<"app.sessions">;

struct session {
  whence::tracked<sessions> entry;
  std::string user;
};

std::vector<std::shared_ptr<session>> known;  // never erased
whence::tracked_mutex<> never_unlocked{"never_unlocked"};

void watch_upload() {
  const std::lock_guard hold(never_unlocked);
}

void upload() {
  // Nothing ever ends it.
  whence::tracked_thread watcher(whence::thread_name{"watcher"}, watch_upload);
  watcher.detach();
}

void log_in(int request) {
  auto s = std::make_shared<session>();
  s->user = "user " + std::to_string(request);
  if (request % 3 == 0) known.push_back(s);
}

void handle(int request) {
  const whence::scoped_labels labels{{"handler", request % 20 == 0 ? "/upload" : "/log_in"}};
  request % 20 == 0 ? upload() : log_in(request);
}

bool look(const char* threads, const char* entries) {
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return !whence::lookup("goroutine")->write_to(threads) && !sessions::get().write_to(entries);
}

}  // namespace shop

int main() {
  shop::never_unlocked.lock();
  for (int request = 0; request < 100; ++request) shop::handle(request);
  if (!shop::look("threads.1.pb.gz", "sessions.1.pb.gz")) return 1;
  for (int request = 100; request < 400; ++request) shop::handle(request);
  if (!shop::look("threads.2.pb.gz", "sessions.2.pb.gz")) return 1;
  std::printf("%zu threads, %zu sessions\n", whence::lookup("goroutine")->count(),
              shop::sessions::get().count());
  std::fflush(stdout);
  std::_Exit(0);  // the threads never end
}
