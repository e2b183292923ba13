// SPDX-License-Identifier: Apache-2.0
//
// The statuses, headers and texts are those of Go's net/http/pprof (spec: its pprof.go), except
// where http.hpp differs: like_go.mjs compares both, and session.sh uses real clients.
#include <doctest/doctest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <vector>

#include "many_stacks.hpp"
#include "support/heap_probe.hpp"
#include "support/sanitizers.hpp"
#include "support/text.hpp"
#include "support/wait_probe.hpp"
#include <whence/allocator.hpp>
#include <whence/format/json.hpp>
#include <whence/http.hpp>
#include <whence/knobs.hpp>
#include <whence/labels.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/tracked.hpp>

using whence::http::handle;
using whence::http::options;
using whence::http::request;
using whence::http::response;
using whence_tests::has;

namespace {

response get(std::string_view target, const options& o = {}) {
  return handle({.target = target}, o);
}

std::string header(const response& r, std::string_view name) {
  for (const auto& [key, value] : r.headers) {
    if (key == name) return value;
  }
  return {};
}

void check_error(const response& r, int status, std::string_view text) {
  CAPTURE(r.body);
  CHECK(r.status == status);
  CHECK(r.body == std::string(text) + "\n");
  CHECK(header(r, "Content-Type") == "text/plain; charset=utf-8");
  CHECK(header(r, "X-Content-Type-Options") == "nosniff");
  CHECK(header(r, "X-Go-Pprof") == "1");
  CHECK(header(r, "Content-Disposition").empty());
}

bool is_profile(const response& r, std::string_view file) {
  return r.status == 200 && header(r, "Content-Type") == "application/octet-stream" &&
         header(r, "X-Content-Type-Options") == "nosniff" &&
         header(r, "Content-Disposition") == "attachment; filename=\"" + std::string(file) + "\"" &&
         !r.body.empty();
}

using sessions = whence::custom_profile<"http/sessions">;

template <class T>
[[gnu::noinline]] void add_in_template(whence::profile& p, T value) {
  p.add(value);
  asm volatile("");
}

std::int64_t contentions_of(std::string_view lock) {
  std::int64_t count = 0;
  for (const whence::profile_row& row : whence::lookup("block")->snapshot().rows) {
    if (whence_tests::label_of(row, "lock") == lock) count += row.values[0];
  }
  return count;
}

// Causes one contention of the lock with that name.
void wait_once(whence::tracked_mutex<>& lock, std::string_view name) {
  const std::int64_t before = contentions_of(name);
  lock.lock();
  std::thread waiter([&lock] { const std::scoped_lock hold(lock); });
  while (contentions_of(name) == before) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  lock.unlock();
  waiter.join();
}

}  // namespace

TEST_CASE("every profile is served") {
  for (const char* name : {"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"}) {
    const std::string path = "/debug/pprof/" + std::string(name);
    CAPTURE(name);
    CHECK(is_profile(get(path), name));
    for (const char* debug : {"1", "2", "%2B1"}) {
      const response text = get(path + "?debug=" + debug);
      CHECK(text.status == 200);
      CHECK(header(text, "Content-Type") == "text/plain; charset=utf-8");
      CHECK(header(text, "Content-Disposition").empty());
      CHECK(text.body.find('\0') == std::string::npos);
    }
    for (const char* debug : {"0", "-1", "junk", ""}) {
      CHECK(is_profile(get(path + "?debug=" + debug), name));
    }
  }
}

// Code that the program has, and that never runs.
[[gnu::used]] static void never_called() {
  const whence::tracked<whence::custom_profile<"http.idle">> entry;
}

TEST_CASE("a custom profile answers before its first use") {
  CHECK(is_profile(get("/debug/pprof/http.idle"), "http.idle"));
  CHECK(get("/debug/pprof/http.idle?debug=1").body == "http.idle profile: total 0\n");
  CHECK(has(get("/debug/pprof/").body, "<a href='http.idle?debug=1'>"));
}

TEST_CASE("a custom name may hold any characters") {
  (void)sessions::get();
  CHECK(is_profile(get("/debug/pprof/http/sessions"), "http_sessions"));
  CHECK(is_profile(get("/debug/pprof/http%2Fsessions"), "http_sessions"));
  const whence::profile& odd = whence::new_profile("http <&'\"\r\n\xff>");
  CHECK(is_profile(get("/debug/pprof/http%20%3C%26%27%22%0d%0a%FF%3e"), "http_________"));
  const response index = get("/debug/pprof/");
  CHECK(index.status == 200);
  CHECK(has(index.body, "http &lt;&amp;&#39;&#34;"));
  CHECK_FALSE(has(index.body, odd.name()));
  CHECK(has(index.body, "<a href='http%20%3c%26%27%22%0d%0a%ff%3e?debug=1'>"));
  CHECK(has(index.body, "<li>WHENCE_STACK_DEPTH=128: frames of a stack</li>"));
  CHECK(has(get("/debug/pprof/?format=json").body, "\"WHENCE_STACK_DEPTH\":128"));
}

TEST_CASE("requests that Go refuses are refused in Go's words") {
  check_error(get("/debug/pprof/nosuch"), 404, "Unknown profile");
  check_error(get("/debug/pprof/heap/"), 404, "Unknown profile");
  check_error(get("/debug/pprof/<script>alert(1)</script>"), 404, "Unknown profile");
  for (const char* seconds : {"0", "-1", "abc", "1.5"}) {
    check_error(get("/debug/pprof/heap?seconds=" + std::string(seconds)), 400,
                "invalid value for \"seconds\" - must be a positive integer");
  }
  check_error(get("/debug/pprof/heap?seconds=1&debug=1"), 400,
              "seconds and debug params are incompatible");
  check_error(get("/debug/pprof/trace"), 404,
              "There is no execution trace of a C++ program: see profile and wall");
  check_error(get("/debug/pprof/profile?hz=0&seconds=1"), 400,
              "invalid value for \"hz\" - must be an integer from 1 to 10000");
  check_error(get("/debug/pprof/profile?seconds=301"), 400,
              "invalid value for \"seconds\" - must be at most 300");
  check_error(get("/debug/pprof/heap?label=x"), 400,
              "invalid value for \"label\" - must be KEY:VALUE");
  for (const char* target : {"heap?sample_type=cpu", "profile?sample_type=inuse_space&seconds=1",
                             "block?sample_type=cpu&seconds=1", "delta_heap?sample_type=x"}) {
    check_error(get("/debug/pprof/" + std::string(target)), 400,
                "invalid value for \"sample_type\" - the profile has no such type");
  }
  check_error(get("/debug/pprof/heap?format=svg"), 400,
              "invalid value for \"format\" - must be pprof, folded or json");
  for (const char* target : {"heap?names=short", "profile?names=Full&seconds=1",
                             "goroutine?names=c%2B%2B&debug=2", "heap?format=json&names=0"}) {
    check_error(get("/debug/pprof/" + std::string(target)), 400,
                "invalid value for \"names\" - must be brief, templates, full or mangled");
  }
  for (const char* target : {"heap?symbolize=2", "profile?symbolize=yes&seconds=1",
                             "delta_heap?symbolize=none", "heap?symbolize=x&debug=1"}) {
    check_error(get("/debug/pprof/" + std::string(target)), 400,
                "invalid value for \"symbolize\" - must be auto, deferred, 1 or 0");
  }
  check_error(get("/elsewhere"), 404, "Not found: the profiles are at /debug/pprof/");
  CHECK(is_profile(get("/debug/pprof/heap?seconds="), "heap"));
  CHECK(is_profile(get("/debug/pprof/heap?gc=1"), "heap"));
}

TEST_CASE("names are short, or of the requested style, in every form") {
  using styles = whence::custom_profile<"http.styles">;
  add_in_template<long>(styles::get(), 1);
  const std::string path = "/debug/pprof/http.styles?";
  const std::string space = "(anonymous namespace)::";
  const auto shows = [&](const std::string& style, const std::string& name) {
    CAPTURE(style);
    CHECK(has(get(path + "debug=1" + style).body, "\t" + name + "+0x"));
    CHECK(has(get(path + "format=folded" + style).body, ";" + name + " 1\n"));
    const std::string in_json = whence::format::json_string(name);
    CHECK(has(get(path + "format=json" + style).body, "{\"name\":" + in_json));
  };
  shows("", space + "add_in_template");
  shows("&names=brief", space + "add_in_template");
  shows("&names=templates", space + "add_in_template<long>");
  shows("&names=full", "void " + space + "add_in_template<long>(whence::profile&, long)");
  shows("&names=mangled", "_ZN12_GLOBAL__N_115add_in_templateIlEEvRN6whence2v17profileET_");
  const std::string full = whence::format::json_string(
      "void " + space + "add_in_template<long>(whence::profile&, long)");
  CHECK(has(
      get(path + "format=json").body,
      "\"name\":" + whence::format::json_string(space + "add_in_template") + ",\"full\":" + full));
}

TEST_CASE("names of threads' functions have the requested style") {
  const auto dump = [](const std::string& query) {
    return get("/debug/pprof/goroutine?debug=2" + query).body;
  };
  CHECK(has(dump(""), "\nmain(...)\n"));
  CHECK(has(dump("&names=full"), "\nmain(...)\n"));
  CHECK(has(dump(""), "doctest::Context::run(...)\n"));
  CHECK(has(dump("&names=full"), "doctest::Context::run()\n"));
}

TEST_CASE("the profiles are also at the paths of gperftools and brpc") {
  CHECK(is_profile(get("/pprof/heap"), "heap"));
  CHECK(get("/pprof/symbol").body == "num_symbols: 1\n");
  CHECK(handle({.method = "POST", .target = "/pprof/symbol", .body = "0x1"}).status == 200);
  CHECK(get("/pprof/profile?seconds=1").status == 200);
  CHECK(get("/pprof/cmdline").body == get("/debug/pprof/cmdline").body);
  check_error(get("/pprof/nosuch"), 404, "Unknown profile");
  check_error(handle({.method = "POST", .target = "/pprof/heap"}), 405, "Method Not Allowed");
  check_error(get("/pprof"), 404, "Not found: the profiles are at /debug/pprof/");
  const options below{.prefix = "/shop/debug/pprof/"};
  CHECK(is_profile(get("/shop/pprof/heap", below), "heap"));
  CHECK(get("/pprof/heap", below).status == 404);
  CHECK(get("/pprof/heap", {.prefix = "/profiles/"}).status == 404);
  CHECK(get("/pprof/heap", {.token = "s3cret"}).status == 401);
}

TEST_CASE("methods") {
  const response post = handle({.method = "POST", .target = "/debug/pprof/heap"});
  check_error(post, 405, "Method Not Allowed");
  CHECK(header(post, "Allow") == "GET, HEAD");
  for (const char* target : {"/debug/pprof/heap", "/debug/pprof/profile?seconds=30",
                             "/debug/pprof/heap?seconds=30", "/debug/pprof/"}) {
    CAPTURE(target);
    const response head = handle({.method = "HEAD", .target = target});
    CHECK(head.status == 200);
    CHECK(head.body.empty());
    CHECK_FALSE(header(head, "Content-Type").empty());
  }
  for (const char* target : {"/debug/pprof/cmdline", "/debug/pprof/ui", "/debug/pprof/nosuch",
                             "/debug/pprof", "/elsewhere", "/debug/pprof/symbol?0x1"}) {
    CAPTURE(target);
    const response whole = get(target);
    const response head = handle({.method = "HEAD", .target = target});
    CHECK(head.status == whole.status);
    CHECK(head.headers.size() == whole.headers.size());
    CHECK(head.content_length == whole.body.size());
    CHECK_FALSE(whole.content_length);
  }
  CHECK_FALSE(handle({.method = "HEAD", .target = "/debug/pprof/wall"}).content_length);
  const response moved = get("/debug/pprof?debug=1");
  CHECK(moved.status == 301);
  CHECK(header(moved, "Location") == "/debug/pprof/?debug=1");
}

TEST_CASE("symbol names addresses, also below a folder and by POST") {
  const auto address = reinterpret_cast<std::uintptr_t>(&whence::set_memory_limit) + 1;
  const std::string asked = "0x" + whence::sys::to_hex(address);
  const std::string body = asked + "+0+junk+0x+99999999999999999999";
  for (const char* path : {"/debug/pprof/symbol", "/debug/pprof/http/symbol"}) {
    const response posted = handle({.method = "POST", .target = path, .body = body});
    CHECK(posted.status == 200);
    CHECK(posted.body == "num_symbols: 1\n" + asked + " _ZN6whence2v116set_memory_limitEm\n");
    CHECK(get(path + ("?" + body)).body == posted.body);
  }
  CHECK(get("/debug/pprof/symbol").body == "num_symbols: 1\n");
  check_error(handle({.method = "POST",
                      .target = "/debug/pprof/symbol",
                      .body = std::string((1 << 20) + 1, '0')}),
              413, "the request is too long");
  check_error(get("/debug/pprof/" + std::string(9000, 'a')), 414, "the request is too long");
}

TEST_CASE("symbol keeps nothing of its requests, and takes addresses in any order") {
  const auto address = reinterpret_cast<std::uintptr_t>(&whence::set_memory_limit);
  const auto text = [](std::uintptr_t a) { return "0x" + whence::sys::to_hex(a); };
  const std::string both = text(address + 1) + "+" + text(address) + "+" + text(address);
  std::string body = get("/debug/pprof/symbol?" + both).body;
  for (const std::string& one : {text(address) + " ", text(address + 1) + " "}) {
    CHECK(has(body, one + "_ZN6whence2v116set_memory_limitEm\n"));
  }
  if (sanitized) return;
  const auto resident = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("RssAnon:")) return std::stol(line.substr(8));
    }
    return 0L;
  };
  const auto ask = [&](std::uintptr_t from) {
    std::string many;
    for (std::uintptr_t a = from; many.size() < 900'000; a += 4096) many += text(a) + "+";
    CHECK(handle({.method = "POST", .target = "/debug/pprof/symbol", .body = many}).status == 200);
  };
  constexpr std::uintptr_t step = std::uintptr_t{1} << 30;
  ask(step);
  const long before = resident();
  for (std::uintptr_t i = 2; i < 5; ++i) ask(i * step);
  CHECK(resident() < before + 8192);
}

TEST_CASE("cmdline can be off") {
  const response on = get("/debug/pprof/cmdline");
  CHECK(has(on.body, "whence_tests"));
  CHECK_FALSE(on.body.ends_with('\0'));
  const options off{.cmdline = false};
  check_error(get("/debug/pprof/cmdline", off), 404, "Unknown profile");
  CHECK_FALSE(has(get("/debug/pprof/", off).body, "cmdline"));
}

TEST_CASE("clients that are answered") {
  const auto from = [](std::string_view peer, std::string_view host, const options& o = {}) {
    return handle({.target = "/debug/pprof/cmdline", .host = host, .peer = peer}, o).status;
  };
  for (const char* peer : {"", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"}) {
    CHECK(from(peer, "localhost:6060") == 200);
  }
  for (const char* peer : {"10.0.0.1", "::2", "::ffff:10.0.0.1", "junk"}) {
    CAPTURE(peer);
    CHECK(from(peer, "localhost") == 403);
    CHECK(from(peer, "db.example.com", {.allow_remote = true}) == 200);
  }
  for (const char* host : {"", "127.0.0.1:6060", "[::1]:6060", "10.1.2.3", "app.localhost:1",
                           "LocalHost", "APP.LOCALHOST:1"}) {
    CHECK(from("127.0.0.1", host) == 200);
  }
  for (const char* host :
       {"evil.example.com", "evil.example.com:6060", "127.0.0.1.evil.com", "["}) {
    CAPTURE(host);
    CHECK(from("127.0.0.1", host) == 403);
  }
}

TEST_CASE("pages of other sites are not answered") {
  for (const options& o : {options{}, options{.allow_remote = true}}) {
    check_error(handle({.target = "/debug/pprof/heap", .fetch_site = "cross-site"}, o), 403,
                "a page of another site asked: open the address by itself");
    for (const char* site : {"", "none", "same-origin", "same-site"}) {
      CHECK(handle({.target = "/debug/pprof/heap", .fetch_site = site}, o).status == 200);
    }
  }
  CHECK(header(get("/debug/pprof/heap"), "Cross-Origin-Resource-Policy") == "same-origin");
}

TEST_CASE("the text of an exception from authorize is not sent") {
  const options o{
      .authorize = [](const request&) -> bool { throw std::runtime_error("swordfish"); }};
  check_error(get("/debug/pprof/heap", o), 500, "options.authorize failed");
}

TEST_CASE("a token") {
  const options o{.token = "s3cret"};
  const auto with = [&o](std::string_view authorization) {
    return handle({.target = "/debug/pprof/heap", .authorization = authorization}, o);
  };
  CHECK(with("Bearer s3cret").status == 200);
  CHECK(with("bearer s3cret").status == 200);
  CHECK(with("Basic bWU6czNjcmV0").status == 200);  // me:s3cret
  for (const char* wrong :
       {"", "s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret ", "Bearer s3crets3cret",
        "Basic czNjcmV0", "Basic bWU6czNjcmVU", "Basic ====", "Digest s3cret"}) {
    CAPTURE(wrong);
    const response r = with(wrong);
    check_error(r, 401, "a token is needed");
    CHECK(header(r, "WWW-Authenticate") == "Basic realm=\"whence\"");
  }
  // Nothing is told without the token, not even the list of profiles.
  for (const char* target : {"/debug/pprof/", "/debug/pprof/ui", "/debug/pprof/nosuch",
                             "/debug/pprof", "/elsewhere", "/debug/fgprof"}) {
    CHECK(get(target, o).status == 401);
  }
  int asked = 0;
  const options by_program{.authorize = [&asked](const request& r) {
    ++asked;
    return r.target == "/debug/pprof/heap";
  }};
  CHECK(get("/debug/pprof/heap", by_program).status == 200);
  check_error(get("/debug/pprof/block", by_program), 403, "not authorized");
  CHECK(asked == 2);
}

TEST_CASE("another prefix") {
  const options o{.prefix = "/admin/whence/"};
  CHECK(is_profile(get("/admin/whence/heap", o), "heap"));
  CHECK(get("/debug/pprof/heap", o).status == 404);
  CHECK(header(get("/admin/whence", o), "Location") == "/admin/whence/");
  CHECK(handle({.method = "HEAD", .target = "/admin/fgprof"}, o).status == 200);
  CHECK(handle({.method = "HEAD", .target = "/fgprof"}, {.prefix = "/"}).status == 200);
  CHECK(is_profile(get("/heap", {.prefix = "/"}), "heap"));
  CHECK_THROWS_AS(get("/", {.prefix = "/debug"}), std::invalid_argument);
  CHECK_THROWS_AS(get("/", {.prefix = ""}), std::invalid_argument);
}

TEST_CASE("a window shows only what was added in it") {
  auto& live = sessions::get();
  const whence::tracked<sessions> before;
  whence::http::operation window =
      whence::http::begin({.target = "/debug/pprof/http/sessions?seconds=1&format=folded"});
  CHECK(window.delay() == std::chrono::seconds(1));
  std::vector<std::unique_ptr<whence::tracked<sessions>>> later;
  for (int i = 0; i < 3; ++i) later.push_back(std::make_unique<whence::tracked<sessions>>());
  CHECK(live.count() == 4);
  const response r = window.finish();
  CHECK(r.status == 200);
  CHECK(r.body.ends_with(" 3\n"));
  CHECK(has(r.body, "main;"));
}

TEST_CASE("a decrease in a window is negative only if the client asks for it") {
  for (const bool is_signed : {false, true}) {
    auto gone = std::make_unique<whence::tracked<sessions>>();
    whence::http::operation window = whence::http::begin(
        {.target = is_signed ? "/debug/pprof/http/sessions?seconds=1&format=folded&signed=1"
                             : "/debug/pprof/http/sessions?seconds=1&format=folded"});
    gone.reset();
    const response r = window.finish();
    CHECK(r.body.empty() == !is_signed);
    CHECK((!is_signed || r.body.ends_with(" -1\n")));
  }
}

TEST_CASE("delta_NAME shows what was added since the last request") {
  whence::tracked_mutex<> lock("http.delta");
  const auto contentions = [] {
    const std::string text =
        get("/debug/pprof/delta_block?format=folded&sample_type=contentions&label=lock:http.delta")
            .body;
    return text.empty() ? 0L : std::stol(text.substr(text.rfind(' ') + 1));
  };
  wait_once(lock, "http.delta");
  CHECK(contentions() == 1);
  CHECK(contentions() == 0);
  wait_once(lock, "http.delta");
  wait_once(lock, "http.delta");
  CHECK(contentions() == 2);
  CHECK(is_profile(get("/debug/pprof/delta_heap"), "delta_heap"));
  check_error(get("/debug/pprof/delta_goroutine"), 404, "Unknown profile");
  check_error(get("/debug/pprof/delta_"), 404, "Unknown profile");
}

// Each call of lock() waits; what happens meanwhile is the test's.
struct busy_lock {
  static inline std::function<void()> meanwhile;
  void lock() { meanwhile(); }
  bool try_lock() { return false; }
  void unlock() {}
};

TEST_CASE("delta_block counts a wait once, even if an earlier one was taken back") {
  whence::tracked_mutex<busy_lock> lock("http.back");
  long told = 0;
  const auto ask = [&told] {
    const std::string text =
        get("/debug/pprof/delta_block?format=folded&sample_type=contentions&label=lock:http.back")
            .body;
    if (!text.empty()) told += std::stol(text.substr(text.rfind(' ') + 1));
  };
  std::int64_t ended = 0;
  bool is_a_wait = false;
  busy_lock::meanwhile = [&] {
    while (contentions_of("http.back") == ended) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ask();
    if (!is_a_wait) throw std::runtime_error("not locked");
  };
  for (int i = 0; i < 6; ++i) {
    is_a_wait = i % 2 == 1;
    try {
      const std::scoped_lock hold(lock);
      ++ended;
    } catch (const std::runtime_error&) {
    }
    CHECK(contentions_of("http.back") == ended);
    ask();
  }
  CHECK(told == 3);
}

TEST_CASE("delta_NAME keeps what no client has received") {
  whence::tracked_mutex<> lock("http.kept");
  const std::string target =
      "/debug/pprof/delta_block?format=folded&sample_type=contentions&label=lock:http.kept";
  wait_once(lock, "http.kept");
  CHECK(handle({.method = "HEAD", .target = target}).status == 200);
  CHECK(get(target, {.max_answer = 1}).status == 500);
  CHECK(get(target).body.ends_with(" 1\n"));
  wait_once(lock, "http.kept");
  CHECK(handle({.method = "HEAD", .target = target}).status == 200);
  CHECK(get(target, {.max_answer = 1}).status == 500);
  CHECK(get(target).body.ends_with(" 1\n"));
  CHECK(get(target).body.empty());
}

TEST_CASE("windows are limited, and closed when they are destroyed") {
  const options o{.max_windows = 2};
  const std::string_view target = "/debug/pprof/profile?seconds=30";
  {
    const whence::http::operation first = whence::http::begin({.target = target}, o);
    const whence::http::operation second = whence::http::begin({.target = target}, o);
    CHECK(first.delay() == std::chrono::seconds(30));
    whence::http::operation third = whence::http::begin({.target = target}, o);
    CHECK(third.delay().count() == 0);
    const response refused = third.finish();
    check_error(refused, 503, "too many windows are open");
    CHECK(header(refused, "Retry-After") == "1");
    CHECK(has(get("/debug/pprof/", o).body, "<li>2 of 2 windows are open</li>"));
    CHECK(has(get("/debug/pprof/?format=json", o).body, "\"windows\":{\"open\":2,\"most\":2}"));
  }
  whence::http::operation over = whence::http::begin({.target = target}, o);
  CHECK(over.finish().status == 200);  // and is being sent
  CHECK(has(get("/debug/pprof/?format=json", o).body, "\"windows\":{\"open\":0,\"most\":2}"));
  CHECK(whence::http::begin({.target = target}, o).delay() == std::chrono::seconds(30));
}

TEST_CASE("a window without a given length is thirty seconds, or the longest allowed") {
  const auto length_of = [](const options& o) {
    return whence::http::begin({.target = "/debug/pprof/profile"}, o).delay();
  };
  CHECK(length_of({}) == std::chrono::seconds(30));
  CHECK(length_of({.max_seconds = 10}) == std::chrono::seconds(10));
}

TEST_CASE("a refused window takes no place from others") {
  const options o{.max_windows = 2};
  const std::string_view target = "/debug/pprof/block?seconds=30";
  const whence::http::operation held = whence::http::begin({.target = target}, o);
  std::atomic<bool> over{false};
  std::thread refused([&] {
    while (!over) (void)whence::http::begin({.target = target}, {.max_windows = 1});
  });
  int opened = 0;
  for (int i = 0; i < 2000; ++i) {
    opened += whence::http::begin({.target = target}, o).delay().count() != 0 ? 1 : 0;
  }
  over = true;
  refused.join();
  CHECK(opened == 2000);
}

TEST_CASE("a child of fork has its own windows, and inherits no locks") {
  if (sanitized) return;  // its runtime's own locks do not survive such a fork
  const options o{.max_windows = 1};
  const std::string_view target = "/debug/pprof/block?seconds=30";
  const whence::http::operation held = whence::http::begin({.target = target}, o);
  std::atomic<bool> over{false};
  std::thread busy([&over] {
    while (!over) (void)get("/debug/pprof/delta_heap");
  });
  int failed = 0;
  for (int i = 0; i < 10; ++i) {
    const ::pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      const bool opens = whence::http::begin({.target = target}, o).delay().count() != 0;
      const bool answers = get("/debug/pprof/delta_heap").status == 200;
      ::_exit(opens && answers ? 0 : 1);
    }
    int status = 1;
    failed += ::waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
  }
  over = true;
  busy.join();
  CHECK(failed == 0);
}

TEST_CASE("a client that goes away ends its window") {
  std::atomic<int> asked{0};
  const auto begin = std::chrono::steady_clock::now();
  const response r = handle({.target = "/debug/pprof/profile?seconds=60",
                             .cancelled = [&asked] { return ++asked == 3; }});
  check_error(r, 500, "context canceled");
  CHECK(asked == 3);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(50));
}

TEST_CASE("a client that goes away ends the work on its answer before the first byte") {
  whence::profile& p = whence::new_profile("http.abandoned");
  for (int i = 0; i < 20'000; ++i) {
    whence_tests::add_below<15, int>(p, i, static_cast<unsigned>(i));
  }
  for (const char* parameters :
       {"debug=1", "format=folded", "format=json", "label=a:b", "debug=1&label=a:b"}) {
    CAPTURE(parameters);
    const std::string target = "/debug/pprof/http.abandoned?" + std::string(parameters);
    int asked = 0;
    const auto is_gone = [&asked] { return ++asked > 3; };
    std::size_t bytes = 0;
    whence::http::response_head head;
    const auto refuse = [&](std::span<const std::byte> part) {
      bytes += asked > 3 ? 0 : part.size();
      return std::make_error_code(std::errc::operation_canceled);
    };
    CHECK(handle({.target = target, .cancelled = is_gone}, head, refuse) ==
          std::errc::operation_canceled);
    CHECK(asked == 4);
    CHECK(bytes == 0);
  }
}

TEST_CASE("a CPU window") {
  const response r = handle({.target = "/debug/pprof/profile?seconds=1&hz=200"});
  CHECK(is_profile(r, "profile"));
  CHECK(is_profile(get("/debug/pprof/profile?seconds=1&debug=1"), "profile"));
  CHECK(is_profile(handle({.target = "/debug/fgprof?seconds=1"}), "fgprof"));
}

TEST_CASE("labels choose samples") {
  whence::new_profile("http.labelled");
  whence::profile& p = *whence::lookup("http.labelled");
  for (int i = 0; i < 5; ++i) {
    const whence::scoped_labels mark({{"who", i < 2 ? "a" : "b"}, {"n", "1"}});
    p.add(i);
  }
  const auto sum = [](const std::string& query) {
    const std::string text = get("/debug/pprof/http.labelled?format=folded" + query).body;
    return text.empty() ? 0L : std::stol(text.substr(text.rfind(' ') + 1));
  };
  CHECK(sum("") == 5);
  CHECK(sum("&label=who:a") == 2);
  CHECK(sum("&label=who%3Ab&label=n:1") == 3);
  CHECK(sum("&label=who:a&label=who:b") == 0);
  CHECK(sum("&label=who:") == 0);
  CHECK(has(get("/debug/pprof/http.labelled?format=json").body,
            "\"labels\":{\"n\":\"1\",\"who\":\"a\"}"));
}

TEST_CASE("the allocated type chooses samples like a label") {
  using own = whence::prefixed_registry<"http.types">;
  const whence_tests::heap_rate every(1);
  const std::vector<int, whence::tracking_allocator<int, own>> ints(10);
  const std::vector<char, whence::tracking_allocator<char, own>> chars(7);
  const auto folded = [](const std::string& query) {
    return get("/debug/pprof/http.types.heap?format=folded" + query).body;
  };
  CHECK(folded("&label=type:int").ends_with(" 40\n"));
  CHECK(folded("&label=type:char").ends_with(" 7\n"));
  CHECK(folded("&label=type:long").empty());
  CHECK(has(get("/debug/pprof/http.types.heap?format=json").body, "\"labels\":{\"type\":\"int\"}"));
  CHECK(has(get("/debug/pprof/http.types.heap?debug=1").body, "# labels: {\"type\":\"char\"}\n"));
}

TEST_CASE("a whole answer may have the greatest length, but no more") {
  const options o{.max_answer = 200};
  for (const char* target :
       {"heap", "goroutine?debug=2", "goroutine?debug=1", "goroutine?format=json",
        "goroutine?format=folded", "goroutine?inline=expand"}) {
    CAPTURE(target);
    check_error(get("/debug/pprof/" + std::string(target), o), 500,
                "failed to collect profile: File too large");
  }
}

TEST_CASE("an answer of any length is written in parts, after its head") {
  using long_name = std::tuple<std::string, std::wstring, std::u16string, std::u32string>;
  whence::profile& p = whence::new_profile("http.long");
  for (int i = 0; i < 1024; ++i)
    whence_tests::add_below<10, long_name>(p, i, static_cast<unsigned>(i));
  const options o{.max_answer = 100'000};
  for (const char* form : {"debug=1", "format=folded", "format=json"}) {
    CAPTURE(form);
    const std::string target = std::string("/debug/pprof/http.long?names=full&") + form;
    const response whole = get(target);
    CHECK(whole.status == 200);
    CHECK(whole.body.size() > o.max_answer);
    check_error(get(target, o), 500, "failed to collect profile: File too large");

    whence::http::response_head head{.status = 0};
    std::size_t largest = 0, size = 0;
    const auto part = [&](std::span<const std::byte> bytes) {
      CHECK(head.status == 200);
      largest = std::max(largest, bytes.size());
      size += bytes.size();
      return std::error_code{};
    };
    CHECK_FALSE(handle({.target = target}, head, part, o));
    CHECK(head.headers == whole.headers);
    CHECK(largest < o.max_answer);
    // The frames of JSON are one part; a text ends with the program's memory.
    CHECK(size > o.max_answer);
  }
  std::string many = "0x1";
  while (many.size() < 90'000) many += "+0x1";
  check_error(handle({.method = "POST", .target = "/debug/pprof/symbol", .body = many}, o), 500,
              "failed to collect profile: File too large");
}

TEST_CASE("an answer in parts has the failures of its sink, and those of the request") {
  whence::http::response_head head;
  const auto refuse = [](std::span<const std::byte>) {
    return std::make_error_code(std::errc::broken_pipe);
  };
  for (const char* target : {"heap", "heap?debug=1", "goroutine?format=json", "cmdline", "nosuch",
                             "block?seconds=1", "delta_block", "symbol?0x1"}) {
    CAPTURE(target);
    CHECK(handle({.target = "/debug/pprof/" + std::string(target)}, head, refuse) ==
          std::errc::broken_pipe);
  }
  std::string text;
  CHECK_FALSE(handle({.target = "/debug/pprof/nosuch"}, head, whence::sink(text)));
  CHECK(head.status == 404);
  CHECK(text == "Unknown profile\n");
  text.clear();
  CHECK_FALSE(handle({.target = "/debug/pprof/profile?seconds=9", .cancelled = [] { return true; }},
                     head, whence::sink(text)));
  CHECK(head.status == 500);
  CHECK(text == "context canceled\n");
  text.clear();
  CHECK_FALSE(handle({.method = "HEAD", .target = "/debug/pprof/cmdline"}, head, refuse));
  CHECK(head.content_length == get("/debug/pprof/cmdline").body.size());
}

TEST_CASE("delta_NAME keeps what a client did not take to its end") {
  whence::tracked_mutex<> lock("http.half");
  const std::string target =
      "/debug/pprof/delta_block?format=folded&sample_type=contentions&label=lock:http.half";
  wait_once(lock, "http.half");
  whence::http::response_head head;
  const auto refuse = [](std::span<const std::byte>) {
    return std::make_error_code(std::errc::broken_pipe);
  };
  CHECK(handle({.target = target}, head, refuse));
  CHECK(get(target).body.ends_with(" 1\n"));
  CHECK(get(target).body.empty());
}

TEST_CASE("no lock is held while a client takes its answer") {
  whence::http::response_head head;
  const auto ask_meanwhile = [](std::span<const std::byte>) {
    CHECK(get("/debug/pprof/delta_block").status == 200);
    CHECK(get("/debug/pprof/heap?debug=1").status == 200);
    CHECK(get("/debug/pprof/goroutine?debug=2").status == 200);
    return std::error_code{};
  };
  for (const char* target : {"heap?debug=1", "delta_block", "goroutine?debug=2", "symbol?0x1"}) {
    CHECK_FALSE(handle({.target = "/debug/pprof/" + std::string(target)}, head, ask_meanwhile));
  }
}

TEST_CASE("the index says how much memory each profile uses, and what it has lost") {
  const auto line_of = [](const std::string& text, std::string_view name) {
    const std::size_t at = text.find(std::string(name));
    REQUIRE(at != std::string::npos);
    return text.substr(at, text.find('\n', at) - at);
  };
  whence::profile& p = whence::new_profile("http.measured");
  CHECK(line_of(get("/debug/pprof/?format=json").body, "\"http.measured\"")
            .ends_with("\"stacks\":0,\"bytes\":0,\"overflow\":0,\"window\":false},"));
  for (int i = 0; i < 3; ++i) whence_tests::add_below<2, int>(p, i, static_cast<unsigned>(i));
  // The sum of its stacks' blocks in the table equals the table's growth.
  const std::size_t depth = p.snapshot().rows[0].stack.size();
  const std::size_t each = (80 + 8 * depth + 63) / 64 * 64;
  CHECK(has(line_of(get("/debug/pprof/?format=json").body, "\"http.measured\""),
            "\"stacks\":3,\"bytes\":" + std::to_string(3 * each) + ",\"overflow\":0"));
  const std::size_t limit = whence::state::attached().budget.limit();
  whence::set_memory_limit(0);
  for (int i = 10; i < 14; ++i) whence_tests::add_below<8, long>(p, i, static_cast<unsigned>(i));
  whence::set_memory_limit(limit);
  const std::string index = get("/debug/pprof/").body;
  const std::string line = line_of(index, "http.measured</a>");
  CHECK(line.ends_with("<td>4</td></tr>"));
  CHECK(index.find("tables use") == index.rfind("tables use"));
  CHECK(has(index, "tables use"));
}

TEST_CASE("the page is small") {
  const response page = get("/debug/pprof/ui");
  CHECK(page.body.size() <= 21'000);
  CHECK(page.body.size() > 10'000);
  CHECK_FALSE(has(page.body, "\n//"));
}

TEST_CASE("all at once") {
  std::vector<std::thread> clients;
  std::atomic<int> failures{0};
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&failures] {
      for (const char* target :
           {"/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/pprof/profile?seconds=1",
            "/debug/pprof/block?seconds=1", "/debug/pprof/delta_mutex", "/debug/pprof/"}) {
        const int status = get(target, {.max_windows = 64}).status;
        if (status != 200) ++failures;
      }
    });
  }
  for (std::thread& c : clients) c.join();
  CHECK(failures == 0);
}
