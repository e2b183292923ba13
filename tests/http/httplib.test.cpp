// SPDX-License-Identifier: Apache-2.0
//
// Runs on the program's own server. http/handler.test.cpp tests the answers; this file tests what
// httplib does with them, and what it does by itself.
#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "raw_client.hpp"
#include <whence/httplib.hpp>

namespace {

class mounted {
 public:
  explicit mounted(whence::http::options o = {}) {
    whence::mount(mine_, std::move(o));
    mine_.Get("/", [](const httplib::Request&, httplib::Response& to) {
      to.set_content("mine", "text/plain");
    });
    port_ = mine_.bind_to_any_port("127.0.0.1");
    serving_ = std::thread([this] { mine_.listen_after_bind(); });
    while (!mine_.is_running()) std::this_thread::yield();
  }
  ~mounted() {
    mine_.stop();
    serving_.join();
  }

  int port() const { return port_; }

  // Each request has its own connection, so that it does not suffer from another's fault.
  raw_answer ask(std::string_view method, std::string_view target, std::string_view fields = "",
                 std::string_view body = "") const {
    raw_client client(port_);
    return client.ask(method, target, std::string(fields) + "Connection: close\r\n", body);
  }

 private:
  httplib::Server mine_;
  int port_ = 0;
  std::thread serving_;
};

}  // namespace

TEST_CASE("beside the program's own routes") {
  const mounted on({.prefix = "/admin.x/", .token = "s3cret"});
  CHECK(on.ask("GET", "/").body == "mine");
  CHECK(on.ask("GET", "/admin.x/heap").status == 401);
  CHECK(on.ask("GET", "/adminyx/heap").status == 404);
  CHECK(on.ask("GET", "/admin.x/heap", "Authorization: Bearer s3cret\r\n").status == 200);
  CHECK(on.ask("GET", "/admin.x/", "Authorization: Basic bWU6czNjcmV0\r\n").status == 200);
  httplib::Server none;
  CHECK_THROWS_AS(whence::mount(none, {.prefix = "no"}), std::invalid_argument);
}

TEST_CASE("profiles and windows, statuses and texts") {
  const mounted on;
  const raw_answer heap = on.ask("GET", "/debug/pprof/heap");
  CHECK(heap.status == 200);
  CHECK(heap["Content-Type"] == "application/octet-stream");
  CHECK(heap["Content-Disposition"] == "attachment; filename=\"heap\"");
  CHECK(heap["X-Content-Type-Options"] == "nosniff");
  CHECK(heap.body.size() > 100);
  const raw_answer window = on.ask("GET", "/debug/pprof/wall?seconds=1");
  CHECK(window.status == 200);
  CHECK(window["Transfer-Encoding"] == "chunked");
  CHECK(window.body.size() > 100);
  CHECK(on.ask("POST", "/debug/pprof/a/symbol", "", "0x1").body ==
        "num_symbols: 1\n0x1 [overflow]\n");
  CHECK(on.ask("GET", "/pprof/heap").status == 200);
  CHECK(on.ask("POST", "/pprof/symbol", "", "0x1").body == "num_symbols: 1\n0x1 [overflow]\n");
  const raw_answer unknown = on.ask("GET", "/debug/pprof/a%0ab");
  CHECK(unknown.status == 404);
  CHECK(unknown.body == "Unknown profile\n");
  CHECK(on.ask("GET", "/debug/pprof").status == 301);
  CHECK(on.ask("GET", "/debug/fgprof?seconds=1").status == 200);
  CHECK(on.ask("GET", "/debug/pprof/heap", "Sec-Fetch-Site: cross-site\r\n").status == 403);
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    CAPTURE(method);
    const raw_answer r = on.ask(method, "/debug/pprof/heap", "", "x");
    CHECK(r.status == 405);
    CHECK(r.body == "Method Not Allowed\n");
    CHECK(r["Allow"] == "GET, HEAD");
    CHECK(r["X-Go-Pprof"] == "1");
  }
}

TEST_CASE("a prefix of one slash") {
  const mounted on({.prefix = "/"});
  CHECK(on.ask("GET", "/heap").status == 200);
  CHECK(on.ask("HEAD", "/fgprof").status == 200);
}

TEST_CASE("httplib does not send a part of an answer either") {
  const mounted on;
  const std::string whole = on.ask("GET", "/debug/pprof/cmdline").body;
  const raw_answer r = on.ask("GET", "/debug/pprof/cmdline", "Range: bytes=0-1,0-,0-\r\n");
  CHECK(r.status == 200);
  CHECK(r.body == whole);
}

TEST_CASE("HEAD by httplib has the length of GET") {
  const mounted on;
  for (const char* target : {"/debug/pprof/cmdline", "/debug/pprof/ui", "/debug/pprof/nosuch"}) {
    CAPTURE(target);
    const raw_answer get = on.ask("GET", target);
    const raw_answer head = on.ask("HEAD", target);
    CHECK(head.status == get.status);
    CHECK(head["Content-Type"] == get["Content-Type"]);
    CHECK(head["Content-Length"] == get["Content-Length"]);
  }
  const raw_answer window = on.ask("HEAD", "/debug/pprof/wall?seconds=9");
  CHECK(window.status == 200);
  CHECK(window["Content-Length"].empty());
}

TEST_CASE("HTTP/1.0 gets no chunks from httplib") {
  const mounted on;
  raw_client client(on.port());
  client.send("GET /debug/pprof/wall?seconds=1 HTTP/1.0\r\n\r\n");
  const raw_answer r = client.receive();
  CHECK(r.status == 200);
  CHECK(r["Transfer-Encoding"].empty());
  CHECK(r["Content-Length"] == std::to_string(r.body.size()));
}

TEST_CASE("a long path takes no more stack than a short one") {
  // httplib would hand it to std::regex, half a kilobyte of stack for each letter matched.
  const mounted on;
  for (const std::size_t length : {200U, 300U, 8000U}) {
    const raw_answer r = on.ask("GET", "/debug/pprof/" + std::string(length, 'a'));
    CHECK(r.status == 404);
    CHECK((r.body == "Unknown profile\n") == (length < 256));
  }
}

TEST_CASE("exceptions of authorize do not reach httplib") {
  const mounted on({.authorize = [](const auto&) -> bool {
    throw std::runtime_error("the password is swordfish");
  }});
  const raw_answer r = on.ask("GET", "/debug/pprof/heap");
  CHECK(r.status == 500);
  CHECK(r.body == "options.authorize failed\n");
  CHECK(r.head.find("swordfish") == std::string::npos);
}
