// SPDX-License-Identifier: Apache-2.0
//
// All attackers at once against a server that holds a million stacks, beside an honest client:
//
//   slow heads        a byte in 100 ms
//   silent bodies     announced, and never sent
//   deaf clients      ask for a text of a million stacks, and do not read
//   slow readers      read 4 KiB of it in 100 ms
//   pipelines         a thousand requests ahead, of which no answer is read
//   connections       more than the server has places for, which say nothing
//
// attackers [--stacks N] [--seconds N] [--wait SECONDS] [--more MIB]
//
// Prints how long the honest client waits for each of its targets at most, at first alone and then
// beside the attackers, and how much the server's memory grows. Fails if it grows by more than
// --more (64), if an answer is no 200, and, with --wait, if one takes longer. The attackers are a
// process of their own; the honest client has one, too.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../http/many_stacks.hpp"
#include "../http/raw_client.hpp"
#include <whence/knobs.hpp>
#include <whence/profile.hpp>
#include <whence/server.hpp>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr const char* long_text = "/debug/pprof/many?debug=1";
constexpr const char* honest_targets[] = {"/debug/pprof/cmdline", "/debug/pprof/",
                                          "/debug/pprof/heap", "/debug/pprof/mutex?debug=1",
                                          "/debug/pprof/goroutine?debug=2"};

std::string get(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

std::int64_t resident_bytes() {
  static const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  char text[128] = {};
  long pages = 0, resident = 0;
  if (::pread(file, text, sizeof text - 1, 0) <= 0 ||
      std::sscanf(text, "%ld %ld", &pages, &resident) != 2) {
    std::abort();
  }
  return resident * ::sysconf(_SC_PAGESIZE);
}

// One attacker's connection, made anew if the server has closed it.
struct attacker {
  enum kind { slow_head, silent_body, deaf, slow_reader, pipeline, connection, kinds };
  int port;
  kind is;
  int socket = -1;

  void connect() {
    socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int room = 4096;
    if (is == deaf || is == slow_reader || is == pipeline) {
      ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof to);
    pollfd ready{socket, POLLOUT, 0};
    ::poll(&ready, 1, 50);
    std::string first;
    if (is == slow_head) first = "GET / HTTP/1.1\r\nX: ";
    if (is == silent_body) {
      first = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n";
    }
    if (is == deaf || is == slow_reader) first = get(long_text);
    if (is == pipeline) {
      for (int i = 0; i < 1000; ++i) first += get("/debug/pprof/heap?debug=1");
    }
    (void)::send(socket, first.data(), first.size(), MSG_NOSIGNAL);
  }

  // Every 100 ms. True if it had to begin anew.
  bool turn() {
    char some[4096];
    bool is_open = socket >= 0;
    if (is_open && is == slow_head) is_open = ::send(socket, "x", 1, MSG_NOSIGNAL) == 1;
    if (is_open && is == slow_reader) is_open = ::recv(socket, some, sizeof some, 0) != 0;
    pollfd ended{socket, POLLRDHUP, 0};
    if (is_open && ::poll(&ended, 1, 0) > 0) is_open = false;
    if (is_open) return false;
    if (socket >= 0) ::close(socket);
    connect();
    return true;
  }
};

[[noreturn]] void attack(int port, int seconds) {
  ::rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::vector<attacker> all;
  for (int i = 0; i < 40; ++i) {
    for (int kind = 0; kind < attacker::kinds; ++kind) {
      all.push_back({port, static_cast<attacker::kind>(kind)});
    }
  }
  for (int i = 0; i < 160; ++i) all.push_back({port, attacker::connection});
  long begun = 0;
  for (const auto end = clock_type::now() + std::chrono::seconds(seconds);
       clock_type::now() < end;) {
    for (attacker& a : all) begun += a.turn() ? 1 : 0;
    std::this_thread::sleep_for(100ms);
  }
  std::printf("attackers: %zu at a time, %ld connections\n", all.size(), begun);
  std::fflush(stdout);
  ::_exit(0);
}

// The worst waits of an honest client; status 1 if an answer is not 200.
[[noreturn]] void be_honest(int port, int seconds, double most, const char* beside) {
  constexpr std::size_t targets = std::size(honest_targets);
  double worst[targets] = {};
  long answers = 0, wrong = 0, late = 0;
  for (const auto end = clock_type::now() + std::chrono::seconds(seconds);
       clock_type::now() < end;) {
    for (std::size_t i = 0; i < targets; ++i) {
      const auto begin = clock_type::now();
      raw_client client(port);
      const raw_answer a = client.get(honest_targets[i]);
      const double wait = std::chrono::duration<double>(clock_type::now() - begin).count();
      worst[i] = std::max(worst[i], wait);
      ++answers;
      wrong += a.status != 200 ? 1 : 0;
      late += wait > 0.5 ? 1 : 0;
    }
    std::this_thread::sleep_for(20ms);
  }
  std::printf(
      "honest client %s: %ld answers, %ld not 200, %ld after more than 0.5 s; worst waits:\n",
      beside, answers, wrong, late);
  for (std::size_t i = 0; i < targets; ++i) {
    std::printf("  %.3f s  %s\n", worst[i], honest_targets[i]);
  }
  std::fflush(stdout);
  const bool is_late = most > 0 && *std::max_element(worst, worst + targets) > most;
  ::_exit(wrong == 0 && answers > 0 && !is_late ? 0 : 1);
}

// Waits for both; true if they are content. `most` becomes the server's memory at its highest.
bool wait_for(std::vector<::pid_t> children, std::int64_t& most) {
  bool right = true;
  while (!children.empty()) {
    most = std::max(most, resident_bytes());
    for (std::size_t i = 0; i < children.size(); ++i) {
      int status = -1;
      if (::waitpid(children[i], &status, WNOHANG) != children[i]) continue;
      right = right && status == 0;
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i--));
    }
    std::this_thread::sleep_for(20ms);
  }
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  int count = 1'000'000, seconds = 20, more = 64;
  double most_wait = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--stacks") count = std::atoi(argv[i + 1]);
    if (name == "--seconds") seconds = std::atoi(argv[i + 1]);
    if (name == "--more") more = std::atoi(argv[i + 1]);
    if (name == "--wait") most_wait = std::atof(argv[i + 1]);
  }
  whence::set_memory_limit(std::size_t{4} << 30);
  whence::profile& many = whence::new_profile("many");
  for (int i = 0; i < count; ++i) {
    whence_tests::add_below<20, int>(many, i, static_cast<unsigned>(i));
  }
  const whence::server server("127.0.0.1", 0);
  if (server.error()) return std::puts("FAILED: no server"), 1;
  const int port = server.port();
  const auto start = [](auto work) {
    std::fflush(nullptr);
    const ::pid_t child = ::fork();
    if (child == 0) work();
    return child;
  };
  bool right = true;
  {  // once each, so that names are read
    raw_client first(port);
    for (const char* target : honest_targets) right = right && first.get(target).status == 200;
  }
  std::int64_t alone = resident_bytes(), beside = 0;
  std::printf("%zu stacks, %lld MiB\n", many.count(), static_cast<long long>(alone >> 20));
  right = wait_for({start([&] { be_honest(port, seconds / 2, 0, "alone"); })}, alone) && right;
  right = wait_for({start([&] { attack(port, seconds + 1); }), start([&] {
                      std::this_thread::sleep_for(1s);
                      be_honest(port, seconds, most_wait, "beside the attackers");
                    })},
                   beside) &&
          right;
  const double grown = static_cast<double>(beside - alone) / (1 << 20);
  std::printf("memory: %.1f MiB more\n", grown);
  right = right && grown <= more;
  std::puts(right ? "passed" : "FAILED");
  return right ? 0 : 1;
}
