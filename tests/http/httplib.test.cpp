// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../sanitizers.hpp"
#include <whence/httplib.hpp>

namespace {

using namespace std::chrono_literals;

httplib::Client client_of(int port) {
  httplib::Client c("127.0.0.1", port);
  c.set_read_timeout(60s);
  return c;
}

httplib::Client client_of(const whence::server& s) {
  return client_of(s.port());
}

// The threads of that name, as the kernel has them.
int threads_named(const std::string& name) {
  int count = 0;
  whence::sys::for_each_task([&](::pid_t tid) {
    std::ifstream file("/proc/self/task/" + std::to_string(tid) + "/comm");
    std::string line;
    count += std::getline(file, line) && line == name ? 1 : 0;
  });
  return count;
}

bool comes_true(auto condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

int connection_to(int port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(s, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    ::close(s);
    return -1;
  }
  return s;
}

}  // namespace

TEST_CASE("a ready server") {
  struct sigaction before {};
  ::sigaction(SIGPIPE, nullptr, &before);
  whence::server profiles("127.0.0.1", 0);
  REQUIRE_FALSE(profiles.error());
  struct sigaction after {};
  ::sigaction(SIGPIPE, nullptr, &after);
  CHECK((after.sa_handler == before.sa_handler));

  httplib::Client client = client_of(profiles);
  const auto heap = client.Get("/debug/pprof/heap");
  REQUIRE(heap);
  CHECK(heap->status == 200);
  CHECK(heap->get_header_value("Content-Type") == "application/octet-stream");
  CHECK(heap->get_header_value("Content-Disposition") == "attachment; filename=\"heap\"");
  CHECK(heap->get_header_value("X-Content-Type-Options") == "nosniff");
  CHECK(heap->get_header_value("Content-Encoding").empty());
  const auto head = client.Head("/debug/pprof/cmdline");
  REQUIRE(head);
  CHECK(head->status == 200);
  CHECK(head->get_header_value("Content-Type") == "text/plain; charset=utf-8");
  const auto unknown = client.Get("/debug/pprof/nosuch");
  REQUIRE(unknown);
  CHECK(unknown->status == 404);
  CHECK(unknown->get_header_value("X-Go-Pprof") == "1");
  CHECK(unknown->body == "Unknown profile\n");
  const auto posted = client.Post("/debug/pprof/a/symbol", "0x1", "application/octet-stream");
  REQUIRE(posted);
  CHECK(posted->body == "num_symbols: 1\n0x1 [overflow]\n");
  const auto moved = client.Get("/debug/pprof");
  REQUIRE(moved);
  CHECK(moved->status == 301);
  const auto window = client.Get("/debug/pprof/profile?seconds=1");
  REQUIRE(window);
  CHECK(window->status == 200);
  CHECK(window->get_header_value("Content-Disposition") == "attachment; filename=\"profile\"");
  CHECK(window->body.size() > 100);
  const auto wall = client.Get("/debug/fgprof?seconds=1");
  REQUIRE(wall);
  CHECK(wall->status == 200);
  const auto rebound = client.Get("/debug/pprof/", {{"Host", "evil.example.com"}});
  REQUIRE(rebound);
  CHECK(rebound->status == 403);
  const auto long_path = client.Get(("/debug/pprof/" + std::string(5000, 'a')).c_str());
  REQUIRE(long_path);
  CHECK(long_path->status == 414);
}

TEST_CASE("a server's own threads are in no profile") {
  const std::size_t before = whence::lookup("goroutine")->count();
  const whence::server profiles("127.0.0.1", 0);
  httplib::Client client = client_of(profiles);
  const auto dump = client.Get("/debug/pprof/goroutine?debug=2");
  REQUIRE(dump);
  CHECK(dump->body.find("httplib::Server") == std::string::npos);
  CHECK(dump->body.find("whence-http") == std::string::npos);
  CHECK(threads_named("whence-http") >= 2);
  CHECK(whence::lookup("goroutine")->count() == before);
}

TEST_CASE("a port that is taken is an error, and a host that is open one of the program's") {
  const whence::server first("127.0.0.1", 0);
  REQUIRE_FALSE(first.error());
  const whence::server second("127.0.0.1", first.port());
  CHECK(second.error());
  CHECK_THROWS_AS(whence::server("0.0.0.0", 0), std::invalid_argument);
  CHECK_THROWS_AS(whence::server("10.0.0.1", 0), std::invalid_argument);
  CHECK_THROWS_AS(whence::server("127.0.0.1", 0, {.prefix = "x"}), std::invalid_argument);
  const whence::server open("0.0.0.0", 0, {.allow_remote = true});
  CHECK_FALSE(open.error());
}

TEST_CASE("a client that goes away ends its window") {
  const whence::server profiles("127.0.0.1", 0);
  const int client = connection_to(profiles.port());
  REQUIRE(client >= 0);
  const std::string asked =
      "GET /debug/pprof/profile?seconds=200 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  CHECK(::send(client, asked.data(), asked.size(), 0) == static_cast<ssize_t>(asked.size()));
  CHECK(comes_true([] { return threads_named("whence-cpu") == 1; }));
  ::close(client);
  CHECK(comes_true([] { return threads_named("whence-cpu") == 0; }));
}

TEST_CASE("stop ends what is under way") {
  whence::server profiles("127.0.0.1", 0);
  std::atomic<int> status{0};
  std::thread waiting([&] {
    const auto answer = client_of(profiles).Get("/debug/pprof/profile?seconds=200");
    status = answer ? answer->status : -1;
  });
  CHECK(comes_true([] { return threads_named("whence-cpu") == 1; }));
  const int silent = connection_to(profiles.port());
  profiles.stop();
  waiting.join();
  CHECK(status == 200);
  CHECK(threads_named("whence-http") == 0);
  CHECK(connection_to(profiles.port()) == -1);
  ::close(silent);
}

TEST_CASE("on a server of the program's") {
  httplib::Server mine;
  whence::mount(mine, {.prefix = "/admin.x/", .token = "s3cret"});
  mine.Get("/", [](const httplib::Request&, httplib::Response& to) {
    to.set_content("mine", "text/plain");
  });
  const int port = mine.bind_to_any_port("127.0.0.1");
  std::thread serving([&mine] { mine.listen_after_bind(); });
  while (!mine.is_running()) std::this_thread::yield();
  {
    httplib::Client client = client_of(port);
    CHECK(client.Get("/")->body == "mine");
    CHECK(client.Get("/admin.x/heap")->status == 401);
    CHECK(client.Get("/adminyx/heap")->status == 404);
    client.set_bearer_token_auth("s3cret");
    CHECK(client.Get("/admin.x/heap")->status == 200);
    client.set_basic_auth("me", "s3cret");
    CHECK(client.Get("/admin.x/")->status == 200);
  }
  mine.stop();
  serving.join();
  CHECK_THROWS_AS(whence::mount(mine, {.prefix = "no"}), std::invalid_argument);
}

TEST_CASE("many clients at once, more than there are workers") {
  const whence::server profiles("127.0.0.1", 0, {.max_windows = 2});
  std::atomic<int> ok{0}, refused{0}, other{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back([&, i] {
      httplib::Client client = client_of(profiles);
      const auto r =
          client.Get(i % 4 == 0 ? "/debug/pprof/profile?seconds=1" : "/debug/pprof/block");
      ++(!r ? other : r->status == 200 ? ok : r->status == 503 ? refused : other);
    });
  }
  for (std::thread& c : clients) c.join();
  CHECK(other == 0);
  CHECK(ok >= 32);
  CHECK(ok + refused == 40);
}

TEST_CASE("a child of fork has no server, and its parent's goes on") {
  if (thread_sanitized) return;  // it forbids threads in a child
  auto profiles = std::make_unique<whence::server>("127.0.0.1", 0);
  const int port = profiles->port();
  REQUIRE(client_of(port).Get("/debug/pprof/heap"));
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(20);
    profiles.reset();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(client_of(port).Get("/debug/pprof/heap"));
  profiles.reset();
  CHECK(connection_to(port) == -1);
}
