// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "raw_client.hpp"
#include "support/sanitizers.hpp"
#include <whence/profile.hpp>
#include <whence/serve/event_loop.hpp>
#include <whence/server.hpp>
#include <whence/sys/proc_task.hpp>

namespace {

using namespace std::chrono_literals;

// The threads of that name, as the kernel lists them. It lists one for a moment after it has been
// joined, and for longer on a busy machine: the join ends once the thread has left the program's
// memory.
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

std::set<int> open_sockets() {
  std::set<int> all;
  for (int i = 0; i < 1000; ++i) {
    int type = 0;
    ::socklen_t size = sizeof type;
    if (::getsockopt(i, SOL_SOCKET, SO_TYPE, &type, &size) == 0) all.insert(i);
  }
  return all;
}

constexpr const char* long_window =
    "GET /debug/pprof/profile?seconds=200 HTTP/1.1\r\nHost: a.localhost\r\n\r\n";

}  // namespace

TEST_CASE("a ready server") {
  const whence::server profiles("127.0.0.1", 0);
  REQUIRE_FALSE(profiles.error());
  raw_client client(profiles.port());  // one connection for all of it
  const raw_answer heap = client.get("/debug/pprof/heap");
  CHECK(heap.status == 200);
  CHECK(heap["Content-Type"] == "application/octet-stream");
  CHECK(heap["Content-Disposition"] == "attachment; filename=\"heap\"");
  CHECK(heap["X-Content-Type-Options"] == "nosniff");
  CHECK(heap["Cross-Origin-Resource-Policy"] == "same-origin");
  CHECK(heap["Content-Encoding"].empty());
  CHECK(heap["Connection"] == "keep-alive");
  CHECK(heap["Date"].size() == 29);
  CHECK(heap.body.size() > 100);
  const raw_answer unknown = client.get("/debug/pprof/nosuch");
  CHECK(unknown.status == 404);
  CHECK(unknown["X-Go-Pprof"] == "1");
  CHECK(unknown.body == "Unknown profile\n");
  const raw_answer moved = client.get("/debug/pprof");
  CHECK(moved.status == 301);
  CHECK(moved["Location"] == "/debug/pprof/");
  const raw_answer window = client.get("/debug/pprof/profile?seconds=1");
  CHECK(window.status == 200);
  CHECK(window["Content-Disposition"] == "attachment; filename=\"profile\"");
  CHECK(window.body.size() > 100);
  CHECK(client.get("/debug/fgprof?seconds=1").status == 200);
  CHECK(client.get("http://localhost/debug/pprof/cmdline").status == 200);
  // Sends two requests at once.
  client.send(
      "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: LOCALHOST:1\r\n\r\n");
  CHECK(client.receive().status == 403);
  CHECK(client.receive().status == 200);
}

TEST_CASE("every method and path has its status, and its text") {
  const whence::server profiles("127.0.0.1", 0);
  raw_client client(profiles.port());
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO"}) {
    CAPTURE(method);
    const raw_answer r = client.ask(method, "/debug/pprof/heap");
    CHECK(r.status == 405);
    CHECK(r.body == "Method Not Allowed\n");
    CHECK(r["Allow"] == "GET, HEAD");
    CHECK(r["X-Content-Type-Options"] == "nosniff");
    CHECK(r["X-Go-Pprof"] == "1");
  }
  CHECK(client.get("/").body == "Not found: the profiles are at /debug/pprof/\n");
  CHECK(client.get("/debug/pprof/a%0ab").body == "Unknown profile\n");
  CHECK(client.get("/debug/pprof/" + std::string(8000, 'a')).body == "Unknown profile\n");
  CHECK(client.get("/debug/pprof/" + std::string(9000, 'a')).status == 414);
}

TEST_CASE("HEAD has the headers of GET, its length too") {
  const whence::server profiles("127.0.0.1", 0);
  raw_client client(profiles.port());
  for (const char* target :
       {"/debug/pprof/cmdline", "/debug/pprof/ui", "/debug/pprof/nosuch", "/debug/pprof"}) {
    CAPTURE(target);
    const raw_answer get = client.get(target);
    const raw_answer head = client.ask("HEAD", target);
    CHECK(head.status == get.status);
    CHECK(head["Content-Type"] == get["Content-Type"]);
    CHECK(head["Content-Length"] == get["Content-Length"]);
    CHECK(head["Content-Length"] == std::to_string(get.body.size()));
  }
  const std::string_view foreign = "Sec-Fetch-Site: cross-site\r\n";
  const raw_answer refused = client.ask("HEAD", "/debug/pprof/heap", foreign);
  CHECK(refused["Content-Length"] ==
        client.ask("GET", "/debug/pprof/heap", foreign)["Content-Length"]);
  // The length of a window is not known.
  const raw_answer window = client.ask("HEAD", "/debug/pprof/profile?seconds=9");
  CHECK(window.status == 200);
  CHECK(window["Content-Length"].empty());
  CHECK(client.get("/debug/pprof/cmdline").status == 200);
}

TEST_CASE("a part of an answer is never sent") {
  const whence::server profiles("127.0.0.1", 0);
  raw_client client(profiles.port());
  const raw_answer whole = client.get("/debug/pprof/cmdline");
  for (const char* range : {"bytes=0-1", "bytes=99999999-", "bytes=0-,0-,0-,0-", "junk"}) {
    const raw_answer r =
        client.ask("GET", "/debug/pprof/cmdline", "Range: " + std::string(range) + "\r\n");
    CHECK(r.status == 200);
    CHECK(r.body == whole.body);
  }
}

TEST_CASE("a body is read for symbol alone, and only in an allowed form") {
  const whence::server profiles("127.0.0.1", 0, {.max_body = 1000});
  raw_client client(profiles.port());
  CHECK(client.ask("POST", "/debug/pprof/a/symbol", "", "0x1").body ==
        "num_symbols: 1\n0x1 [overflow]\n");
  CHECK(client.ask("POST", "/debug/pprof/symbol", "Expect: 100-continue\r\nContent-Length: 3\r\n")
            .status == 100);
  client.send("0x1");
  CHECK(client.receive().body == "num_symbols: 1\n0x1 [overflow]\n");

  const auto refused = [&profiles](std::string_view method, std::string_view target,
                                   std::string_view fields) {
    raw_client once(profiles.port());
    const raw_answer r = once.ask(method, target, fields);
    CHECK(r["Connection"] == "close");
    CHECK(once.is_hung_up());
    return r.status;
  };
  // Endless and swelling bodies: the server refuses them before one byte comes.
  CHECK(refused("POST", "/debug/pprof/symbol", "Transfer-Encoding: chunked\r\n") == 411);
  CHECK(refused("POST", "/debug/pprof/symbol", "Content-Encoding: gzip\r\nContent-Length: 9\r\n") ==
        415);
  CHECK(refused("POST", "/debug/pprof/symbol", "Content-Length: 1001\r\n") == 413);
  CHECK(refused("POST", "/debug/pprof/symbol", "Content-Length: 99999999999999999999\r\n") == 413);
  for (const char* length :
       {"-1", "+1", "1x", "", "1\r\nContent-Length: 1", "0\r\nContent-Length: 5"}) {
    CAPTURE(length);
    CHECK(refused("POST", "/debug/pprof/symbol",
                  "Content-Length: " + std::string(length) + "\r\n") == 400);
  }
  CHECK(refused("POST", "/debug/pprof/heap", "Content-Length: 900\r\n") == 405);
  CHECK(refused("POST", "/anything", "Content-Length: 900\r\n") == 405);
  CHECK(refused("GET", "/debug/pprof/heap", "Content-Length: 9\r\n") == 400);
  CHECK(refused("GET", "/debug/pprof/heap", "Transfer-Encoding: chunked\r\n") == 411);
}

TEST_CASE("one body may be longer than all may be together") {
  constexpr std::size_t length = whence::serve::client_limits::bytes_of_bodies + 1;
  const whence::server profiles("127.0.0.1", 0, {.max_body = length});
  raw_client client(profiles.port());
  const std::string one = "0x" + std::string(length - 3, '0') + "1";
  CHECK(client.ask("POST", "/debug/pprof/symbol", "", one).body ==
        "num_symbols: 1\n0x1 [overflow]\n");
  const auto announce = [](raw_client& c, std::size_t bytes) {
    return c
        .ask("POST", "/debug/pprof/symbol",
             "Expect: 100-continue\r\nContent-Length: " + std::to_string(bytes) + "\r\n")
        .status;
  };
  raw_client silent(profiles.port());
  CHECK(announce(silent, 9) == 100);
  CHECK(announce(client, length) == 503);
}

TEST_CASE("forbidden clients are refused before a body is read") {
  std::atomic<int> asked{0};
  const whence::server profiles("127.0.0.1", 0,
                                {.token = "s3cret", .authorize = [&asked](const auto&) {
                                   ++asked;
                                   return false;
                                 }});
  raw_client stranger(profiles.port());
  CHECK(stranger.ask("POST", "/debug/pprof/symbol", "Content-Length: 9\r\n").status == 401);
  CHECK(asked == 0);
  raw_client friendly(profiles.port());
  CHECK(friendly
            .ask("POST", "/debug/pprof/symbol",
                 "Content-Length: 9\r\nAuthorization: Bearer s3cret\r\n")
            .status == 403);
  CHECK(asked == 1);
}

TEST_CASE("the text of an exception from authorize is not sent") {
  const whence::server profiles("127.0.0.1", 0, {.authorize = [](const auto&) -> bool {
                                  throw std::runtime_error("the password is swordfish");
                                }});
  raw_client client(profiles.port());
  const raw_answer r = client.get("/debug/pprof/heap");
  CHECK(r.status == 500);
  CHECK(r.body == "options.authorize failed\n");
  CHECK(r.head.find("swordfish") == std::string::npos);
}

TEST_CASE("a page of another site is refused") {
  const whence::server profiles("127.0.0.1", 0);
  raw_client client(profiles.port());
  const auto from = [&client](std::string_view site) {
    return client
        .ask("GET", "/debug/pprof/cmdline", "Sec-Fetch-Site: " + std::string(site) + "\r\n")
        .status;
  };
  CHECK(from("cross-site") == 403);
  for (const char* site : {"same-origin", "same-site", "none"}) CHECK(from(site) == 200);
}

TEST_CASE("a head is bounded") {
  const whence::server profiles("127.0.0.1", 0);
  raw_client client(profiles.port());
  client.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
  const std::string line = "X: " + std::string(1000, 'x') + "\r\n";
  for (int i = 0; i < 100 && client.send(line); ++i) continue;
  CHECK(client.receive().status == 431);
  CHECK(client.is_hung_up());
  raw_client odd(profiles.port());
  odd.send("GET / HTTP/1.1\nHost: localhost\r\n\r\n");
  CHECK(odd.receive().status == 400);
  CHECK(odd.is_hung_up());
}

TEST_CASE("slow and silent clients do not block others, and are dropped") {
  const whence::server profiles("127.0.0.1", 0);
  std::vector<raw_client> slow;  // more than there are workers
  for (int i = 0; i < 100; ++i) {
    slow.emplace_back(profiles.port());
    slow.back().send(i % 2 == 0 ? "GET / HTTP/1.1\r\nX: " : "");
  }
  raw_client client(profiles.port());
  CHECK(client.get("/debug/pprof/cmdline").status == 200);
  CHECK(comes_true([] { return threads_named("whence-http") < 10; }));
  // The deadline is for the whole head: further bytes, each a moment apart, do not extend it.
  raw_client& one = slow.front();
  while (one.send("x")) std::this_thread::sleep_for(100ms);
  CHECK(one.is_hung_up());
}

TEST_CASE("more clients than places are answered in turn") {
  const whence::server profiles("127.0.0.1", 0);
  std::vector<raw_client> silent;
  for (std::size_t i = 0; i < 2 * whence::serve::client_limits::connections; ++i) {
    silent.emplace_back(profiles.port());
    REQUIRE(silent.back().is_connected());  // the kernel's queue is long enough
  }
  raw_client client(profiles.port());
  CHECK(client.get("/debug/pprof/cmdline").status == 200);
}

TEST_CASE("clients that come and go take no place of one that waits") {
  const whence::server profiles("127.0.0.1", 0);
  raw_client waiting(profiles.port());
  int lost = 0;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::thread> others;
    for (int t = 0; t < 2; ++t) {
      others.emplace_back([&profiles] {
        for (int i = 0; i < 100; ++i) raw_client(profiles.port()).close();
      });
    }
    for (std::thread& t : others) t.join();
    if (waiting.get("/debug/pprof/cmdline").status != 200) ++lost;
  }
  CHECK(lost == 0);
}

TEST_CASE("HTTP/1.0 gets no chunks, and the end of its connection") {
  const whence::server profiles("127.0.0.1", 0);
  for (const char* target : {"/debug/pprof/cmdline", "/debug/pprof/wall?seconds=1"}) {
    raw_client client(profiles.port());
    client.send("GET " + std::string(target) + " HTTP/1.0\r\n\r\n");
    const raw_answer r = client.receive();
    CHECK(r.status == 200);
    CHECK(r["Transfer-Encoding"].empty());
    CHECK(r["Content-Length"] == std::to_string(r.body.size()));
    CHECK(r["Connection"] == "close");
    CHECK(client.is_hung_up());
  }
}

TEST_CASE("a server's own threads are in no profile") {
  const std::size_t before = whence::lookup("goroutine")->count();
  const whence::server profiles("127.0.0.1", 0);
  raw_client client(profiles.port());
  const raw_answer dump = client.get("/debug/pprof/goroutine?debug=2");
  CHECK(dump.body.find("http::loop") == std::string::npos);
  CHECK(dump.body.find("whence-http") == std::string::npos);
  CHECK(threads_named("whence-http") >= 2);
  CHECK(whence::lookup("goroutine")->count() <= before);  // one of an earlier test may end
}

TEST_CASE("a refusal of the system is an error, an invalid address a mistake") {
  const std::set<int> before = open_sockets();
  {
    const whence::server first("127.0.0.1", 0);
    REQUIRE_FALSE(first.error());
    const whence::server second("127.0.0.1", first.port());
    CHECK(second.error() == std::errc::address_in_use);
    CHECK(second.port() == -1);
    errno = ENOENT;
    const whence::server nowhere("nosuch.invalid", 0, {.allow_remote = true});
    CHECK(nowhere.error() == std::errc::address_not_available);
    const whence::server open("0.0.0.0", 0, {.allow_remote = true});
    CHECK_FALSE(open.error());
    const whence::server local("localhost", 0);
    CHECK(raw_client(local.port()).get("/debug/pprof/cmdline").status == 200);
    const whence::server v6("::1", 0);
    if (!v6.error())
      CHECK(raw_client(v6.port(), AF_INET6).get("/debug/pprof/cmdline").status == 200);
  }
  CHECK_THROWS_AS(whence::server("0.0.0.0", 0), std::invalid_argument);
  CHECK_THROWS_AS(whence::server("10.0.0.1", 0), std::invalid_argument);
  CHECK_THROWS_AS(whence::server("127.0.0.1", 0, {.prefix = "x"}), std::invalid_argument);
  CHECK_THROWS_AS(whence::server("127.0.0.1", 70000), std::invalid_argument);
  CHECK_THROWS_AS(whence::server("127.0.0.1", -1), std::invalid_argument);
  CHECK(open_sockets() == before);
}

TEST_CASE("started programs inherit no socket") {
  const std::set<int> before = open_sockets();
  const whence::server profiles("127.0.0.1", 0);
  raw_client client(profiles.port());
  CHECK(client.get("/debug/pprof/cmdline").status == 200);
  int inherited = 0;
  for (const int s : open_sockets()) {
    if (!before.contains(s)) inherited += (::fcntl(s, F_GETFD) & FD_CLOEXEC) == 0;
  }
  CHECK(inherited == 1);  // this client's
}

TEST_CASE("a client that goes away ends its window") {
  const whence::server profiles("127.0.0.1", 0);
  raw_client client(profiles.port());
  CHECK(client.send(long_window));
  CHECK(comes_true([] { return threads_named("whence-cpu") == 1; }));
  client.close();
  CHECK(comes_true([] { return threads_named("whence-cpu") == 0; }));
}

TEST_CASE("stop ends running requests, and does not wait for slow clients") {
  whence::server profiles("127.0.0.1", 0);
  raw_client waiting(profiles.port()), silent(profiles.port()), half(profiles.port()),
      idle(profiles.port()), deaf(profiles.port()), slow_body(profiles.port());
  waiting.send(long_window);
  half.send("GET / HTTP/1.1\r\nX: ");
  CHECK(idle.get("/debug/pprof/cmdline").status == 200);
  slow_body.send(
      "POST /debug/pprof/symbol HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 99\r\n\r\n0x");
  for (int i = 0; i < 1200; ++i) {  // more answers than the kernel keeps, and none is taken
    deaf.send("GET /debug/pprof/ui HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  }
  CHECK(comes_true([&deaf, last = 0]() mutable {
    std::this_thread::sleep_for(100ms);
    return deaf.bytes_waiting() > 0 &&
           deaf.bytes_waiting() == std::exchange(last, deaf.bytes_waiting());
  }));
  CHECK(comes_true([] { return threads_named("whence-cpu") == 1; }));
  profiles.stop();
  CHECK(waiting.receive().status == 200);
  for (raw_client* one : {&silent, &half, &idle, &slow_body}) CHECK(one->is_hung_up());
  CHECK(comes_true([] { return threads_named("whence-http") == 0; }));
  CHECK_FALSE(raw_client(profiles.port()).is_connected());
  profiles.stop();
}

TEST_CASE("a program that closes all descriptors ends the server, and loses no file by it") {
  if (thread_sanitized) return;  // it forbids threads in a child
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(60);
    whence::server profiles("127.0.0.1", 0);
    raw_client idle(profiles.port()), waiting(profiles.port());
    const bool is_answered = idle.get("/debug/pprof/cmdline").status == 200;
    waiting.send(long_window);
    bool is_right = is_answered && comes_true([] { return threads_named("whence-cpu") == 1; });
    for (int i = 3; i < 1000; ++i) ::close(i);
    std::set<int> files;
    for (int i = 0; i < 100; ++i) files.insert(::eventfd(0, EFD_NONBLOCK));
    is_right = is_right && comes_true([] { return threads_named("whence-http") == 0; });
    profiles.stop();
    for (const int f : files) {
      ::eventfd_t value = 0;
      is_right = is_right && ::eventfd_read(f, &value) != 0 && errno == EAGAIN;
    }
    ::_exit(is_right ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("many clients at once, more than there are workers") {
  const whence::server profiles("127.0.0.1", 0, {.max_windows = 2});
  std::atomic<int> ok{0}, refused{0}, other{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back([&, i] {
      raw_client client(profiles.port());
      const raw_answer r =
          client.get(i % 4 == 0 ? "/debug/pprof/profile?seconds=1" : "/debug/pprof/block");
      ++(r.status == 200 ? ok : r.status == 503 ? refused : other);
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
  REQUIRE(raw_client(port).get("/debug/pprof/heap").status == 200);
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
  CHECK(raw_client(port).get("/debug/pprof/heap").status == 200);
  profiles.reset();
  CHECK_FALSE(raw_client(port).is_connected());
}
