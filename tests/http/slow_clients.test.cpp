// SPDX-License-Identifier: Apache-2.0
//
// Clients that send or read slowly, or not at all, and more of them than there is room for: beside
// them an honest client gets its answers, and memory stays bounded. The times allowed are ten times
// what the server promises.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "many_stacks.hpp"
#include "raw_client.hpp"
#include "support/sanitizers.hpp"
#include <whence/profile.hpp>
#include <whence/server.hpp>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr auto longest_wait = 5s;

// Its text is more than the kernel keeps for a client.
const std::string& long_text() {
  using long_name = std::tuple<std::string, std::wstring, std::u16string, std::u32string>;
  static const std::string target = [] {
    whence::profile& p = whence::new_profile("slow.long");
    for (int i = 0; i < 8192; ++i)
      whence_tests::add_below<13, long_name>(p, i, static_cast<unsigned>(i));
    return std::string("/debug/pprof/slow.long?debug=1&names=full");
  }();
  return target;
}

// More stacks than those of which a server makes several profiles at once.
const std::string& longest_text() {
  static const std::string target = [] {
    whence::profile& p = whence::new_profile("slow.longest");
    for (int i = 0; i < 70'000; ++i)
      whence_tests::add_below<17, int>(p, i, static_cast<unsigned>(i));
    return std::string("/debug/pprof/slow.longest?debug=1");
  }();
  return target;
}

std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

constexpr const char* silent_body =
    "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n";

// How long an honest client waits for its answer; a day if it gets none.
clock_type::duration wait_of_honest(int port, const std::string& target) {
  const auto begin = clock_type::now();
  raw_client honest(port);
  const bool is_answered = honest.get(target).status == 200;
  return is_answered ? clock_type::now() - begin : clock_type::duration(24h);
}

void check_honest(int port) {
  for (int i = 0; i < 3; ++i) {
    CHECK(wait_of_honest(port, "/debug/pprof/cmdline") < longest_wait);
    CHECK(wait_of_honest(port, "/debug/pprof/heap") < longest_wait);
    CHECK(wait_of_honest(port, "/debug/pprof/block?debug=1") < longest_wait);
  }
}

std::int64_t resident_bytes() {
  static const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  char text[128] = {};
  long pages = 0, resident = 0;
  REQUIRE(::pread(file, text, sizeof text - 1, 0) > 0);
  REQUIRE(std::sscanf(text, "%ld %ld", &pages, &resident) == 2);
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

TEST_CASE("silent bodies hold no worker") {
  const whence::server profiles("127.0.0.1", 0);
  std::vector<raw_client> silent;
  for (int i = 0; i < 40; ++i) {
    silent.emplace_back(profiles.port());
    REQUIRE(silent.back().send(silent_body));
  }
  std::this_thread::sleep_for(100ms);
  check_honest(profiles.port());
}

TEST_CASE("clients that do not read hold workers only until others need them") {
  const whence::server profiles("127.0.0.1", 0);
  REQUIRE(wait_of_honest(profiles.port(), long_text()) < longest_wait * 10);
  const std::int64_t before = resident_bytes();
  std::vector<raw_client> deaf;
  for (int i = 0; i < 40; ++i) {
    deaf.emplace_back(profiles.port(), AF_INET, 4096);
    REQUIRE(deaf.back().send(get(long_text())));
  }
  check_honest(profiles.port());
  if (!sanitized) CHECK(resident_bytes() - before < 64 << 20);
}

TEST_CASE("requests that are sent ahead take no memory") {
  whence::server profiles("127.0.0.1", 0, {.token = "s3cret"});
  raw_client eager(profiles.port());
  const std::int64_t before = resident_bytes();
  std::thread sender([&eager] {
    std::string many;
    for (int i = 0; i < 1000; ++i) many += get("/x");
    for (std::size_t sent = 0; sent < 64 << 20 && eager.send(many);) sent += many.size();
  });
  std::int64_t most = before;
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    refused += eager.receive().status == 401;
    if (i % 100 == 0) most = std::max(most, resident_bytes());
  }
  profiles.stop();
  sender.join();
  CHECK(refused == 2000);
  if (!sanitized) CHECK(most - before < 8 << 20);
}

TEST_CASE("requests that wait for a worker are dropped with their clients") {
  std::atomic<bool> may_go_on{false};
  const whence::server profiles("127.0.0.1", 0, {.authorize = [&may_go_on](const auto&) {
                                  may_go_on.wait(false);
                                  return true;
                                }});
  const std::string line = "X: " + std::string(1000, 'x') + "\r\n";
  std::string long_head = "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 60; ++i) long_head += line;
  std::vector<raw_client> all;
  const auto send_from_many = [&] {
    for (int i = 0; i < 100; ++i) {
      all.emplace_back(profiles.port());
      REQUIRE(all.back().send(long_head + "\r\n"));
    }
    // The loop itself refuses this one, after it has received those before.
    raw_client last(profiles.port());
    last.send(long_head + long_head);
    REQUIRE(last.receive().status == 431);
  };
  send_from_many();  // more than there are workers
  std::vector<raw_client> in_work = std::exchange(all, {});
  const std::int64_t before = resident_bytes();
  for (int i = 0; i < 20; ++i) {
    send_from_many();
    for (raw_client& c : all) c.reset();
    all.clear();
  }
  if (!sanitized) CHECK(resident_bytes() - before < 32 << 20);
  may_go_on = true;
  may_go_on.notify_all();
  for (raw_client& c : in_work) CHECK(c.receive().status == 200);
}

TEST_CASE("a long answer is not made for a client that has ended its side; a short one is") {
  const std::string target = longest_text();
  const whence::server profiles("127.0.0.1", 0);
  std::vector<raw_client> gone;
  for (int i = 0; i < 20; ++i) {
    gone.emplace_back(profiles.port());
    REQUIRE(gone.back().send(get(target)));
    gone.back().end_side();
  }
  for (raw_client& c : gone) CHECK(c.receive().status == 0);
  raw_client brief(profiles.port());
  REQUIRE(brief.send(get("/debug/pprof/cmdline")));
  brief.end_side();
  CHECK(brief.receive().status == 200);
  CHECK(raw_client(profiles.port()).get(target).is_whole);
}

TEST_CASE("stop makes no long answers, neither those that wait nor the one that is being made") {
  const std::string target = longest_text();
  whence::server profiles("127.0.0.1", 0);
  std::vector<raw_client> all;
  for (int i = 0; i < 20; ++i) {
    all.emplace_back(profiles.port(), AF_INET, 4096);
    REQUIRE(all.back().send(get(target)));
  }
  while (all.front().bytes_waiting() == 0) std::this_thread::sleep_for(1ms);
  profiles.stop();
  int begun = 0;
  for (raw_client& c : all) {
    const raw_answer a = c.receive();
    CHECK_FALSE(a.is_whole);
    begun += a.status == 200 ? 1 : 0;
  }
  // Those that had begun before are cut.
  CHECK(begun < static_cast<int>(all.size()));
}

TEST_CASE("a client that reads slowly gets all of a long answer") {
  const whence::server profiles("127.0.0.1", 0);
  raw_client slow(profiles.port(), AF_INET, 4096);
  REQUIRE(slow.send(get(long_text())));
  std::this_thread::sleep_for(1s);  // the answer waits for it
  const raw_answer r = slow.receive();
  CHECK(r.status == 200);
  CHECK(r["Transfer-Encoding"] == "chunked");
  CHECK(r["Content-Length"].empty());
  CHECK(r.is_whole);
  CHECK(r.body.size() > 8 << 20);
  CHECK(r.body.starts_with("slow.long profile: total 8192\n"));
  CHECK(static_cast<int>(std::count(r.body.begin(), r.body.end(), '@')) == 8192);
  // HTTP/1.0 has no chunks: the end of the connection is the end of the text.
  raw_client old(profiles.port());
  old.send("GET " + long_text() + " HTTP/1.0\r\n\r\n");
  const raw_answer same = old.receive();
  CHECK(same["Connection"] == "close");
  CHECK(same.body.size() == r.body.size());
}

TEST_CASE("a client that stops reading is dropped, and cannot take a part for the whole") {
  whence::server profiles("127.0.0.1", 0);
  raw_client deaf(profiles.port(), AF_INET, 4096);
  REQUIRE(deaf.send(get(long_text())));
  while (deaf.bytes_waiting() == 0) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(100ms);
  const auto begin = clock_type::now();
  profiles.stop();
  CHECK(clock_type::now() - begin < longest_wait * 4);
  const raw_answer r = deaf.receive();
  CHECK_FALSE(r.is_whole);
}

TEST_CASE("clients see the end even if a child of fork holds their sockets") {
  if (thread_sanitized) return;  // it forbids threads in a child
  whence::server profiles("127.0.0.1", 0);
  raw_client idle(profiles.port()), deaf(profiles.port(), AF_INET, 4096);
  CHECK(idle.get("/debug/pprof/cmdline").status == 200);
  REQUIRE(deaf.send("GET " + long_text() + " HTTP/1.0\r\n\r\n"));
  while (deaf.bytes_waiting() == 0) std::this_thread::sleep_for(1ms);
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(60);
    for (;;) ::pause();
  }
  profiles.stop();
  CHECK(idle.is_hung_up());
  CHECK(deaf.is_reset());
  CHECK(::waitpid(child, nullptr, WNOHANG) == 0);  // it lives, so it has not closed them
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("a client that hangs up amid its answer frees the worker") {
  const whence::server profiles("127.0.0.1", 0);
  for (int i = 0; i < 100; ++i) {  // more than there are workers
    raw_client gone(profiles.port(), AF_INET, 4096);
    REQUIRE(gone.send(get(long_text())));
    if (i % 2 == 0) std::this_thread::sleep_for(5ms);
  }
  check_honest(profiles.port());
}

TEST_CASE("a program without descriptors is answered") {
  const whence::server profiles("127.0.0.1", 0);
  const int unused = ::socket(AF_INET, SOCK_STREAM, 0);
  ::rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const ::rlimit few{static_cast<rlim_t>(unused) + 50, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  std::vector<int> all;
  for (int d = 0; (d = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) all.push_back(d);
  ::close(unused);
  raw_client client(profiles.port());  // takes the last one, and the server its spare one
  CHECK(::dup(0) == -1);
  CHECK(client.get("/debug/pprof/heap?debug=1").status == 200);
  for (const int d : all) ::close(d);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(raw_client(profiles.port()).get("/debug/pprof/cmdline").status == 200);
}

// This needs a process of its own, since each client needs a descriptor, too.
TEST_CASE("all attackers at once, more than the process may open files, and an honest client") {
  if (thread_sanitized) return;  // it forbids threads in a child
  (void)long_text();
  const whence::server profiles("127.0.0.1", 0);
  REQUIRE(wait_of_honest(profiles.port(), "/debug/pprof/heap") < longest_wait);
  const int port = profiles.port();
  ::rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int unused = ::dup(0);
  ::close(unused);
  const std::int64_t memory = resident_bytes();
  std::fflush(nullptr);
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(120);
    std::vector<raw_client> attackers;
    for (int i = 0; i < 400; ++i) {
      const bool is_deaf = i % 10 == 1;
      attackers.emplace_back(port, AF_INET, is_deaf ? 4096 : 0);
      if (i % 10 == 0) attackers.back().send(silent_body);
      if (is_deaf) attackers.back().send(get(long_text()));
      if (i % 10 == 2) attackers.back().send("GET / HTTP/1.1\r\nX: ");
    }
    clock_type::duration worst{};
    for (const char* target : {"/debug/pprof/cmdline", "/debug/pprof/heap"}) {
      clock_type::duration of_target{};
      for (int i = 0; i < 10; ++i) {
        of_target = std::max(of_target, wait_of_honest(port, target));
        std::this_thread::sleep_for(10ms);
      }
      std::printf("an honest client waits at most %.3f s for %s\n",
                  std::chrono::duration<double>(of_target).count(), target);
      worst = std::max(worst, of_target);
    }
    std::fflush(stdout);
    ::_exit(worst < longest_wait ? 0 : 1);
  }
  const ::rlimit few{static_cast<rlim_t>(unused) + 100, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  std::int64_t most = memory;
  int status = -1;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    most = std::max(most, resident_bytes());
    std::this_thread::sleep_for(20ms);
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(status == 0);
  std::printf("memory: %.1f MiB more\n", static_cast<double>(most - memory) / (1 << 20));
  if (!sanitized) CHECK(most - memory < 64 << 20);
  CHECK(wait_of_honest(port, "/debug/pprof/heap") < longest_wait);
}
