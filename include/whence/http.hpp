// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ for any server: no framework, no sockets. (Go: net/http/pprof)
//
//   whence::http::response r = whence::http::handle({.method = "GET", .target =
//   "/debug/pprof/heap"});
//
// and for event loops, which no window of thirty seconds may hold up:
//
//   whence::http::operation it = whence::http::begin(request);
//   ... after it.delay() ...                            // a timer of the loop's
//   whence::http::response r = it.finish();             // or destroy it: the client has gone
//
//   $ go tool pprof http://127.0.0.1:6060/debug/pprof/heap
//   $ go tool pprof http://127.0.0.1:6060/debug/pprof/profile?seconds=10
//
// Below options.prefix:
//
//                        what there is, with counts and rates; ?format=json
//   ui                   flame graphs in the browser
//   heap, block, NAME    that profile; ?seconds=N: what happened in N seconds from now on
//   profile              CPU time of ?seconds=N (30), ?hz=H (100); any number at once
//   wall                 wall-clock time of all threads, ?seconds=N (30), ?hz=H (99); also fgprof
//                        beside the prefix
//   delta_NAME           what was added since it was asked for last; where NAME only grows
//   goroutine?debug=2    every thread, readable
//   symbol               names of addresses, by GET or POST, also below every folder
//   cmdline              the arguments, each ended by NUL but the last
//
// Every profile takes the parameters of http/view.hpp. Who is answered is told in http/access.hpp.
// Errors are text with X-Go-Pprof, as `go tool pprof` wants them:
//
//   400 a parameter   401, 403 not allowed   404 no such profile   405 method   413, 414 too long
//   500 the system, or an answer above options.max_answer   503 too many windows: Retry-After
//
// Thread-safe: any number of requests at once. Nothing that was asked is ever in an answer.
#ifndef WHENCE_HTTP_HPP
#define WHENCE_HTTP_HPP

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

#include <whence/cpu.hpp>
#include <whence/flamegraph.hpp>
#include <whence/http/access.hpp>
#include <whence/http/answers.hpp>
#include <whence/http/index_page.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/parameters.hpp>
#include <whence/http/request.hpp>
#include <whence/http/symbol.hpp>
#include <whence/http/view.hpp>
#include <whence/http/windows.hpp>
#include <whence/profile.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/raise.hpp>
#include <whence/wall.hpp>

namespace whence::inline v1::http {

namespace routes {

// What a route is given.
struct asked {
  const request& it;
  const http::target& target;
  const http::options& options;
  std::string_view name;  // below the prefix
};

// HEAD opens none: the headers are those of an empty one.
inline operation open_window(const asked& a, long seconds, const view& how, std::string_view file,
                             auto make) {
  if (seconds > a.options.max_seconds) {
    return failure(400, "invalid value for \"seconds\" - must be at most " +
                            std::to_string(a.options.max_seconds));
  }
  if (a.it.method == "HEAD") return how.show({}, file);
  window_slot slot(a.options.max_windows);
  if (!slot) {
    response r = failure(503, "too many windows are open");
    r.headers.emplace_back("Retry-After", "1");
    return r;
  }
  return make(std::move(slot));
}

// Session: cpu_session or wall_session. No seconds, or what is none: 30, as in Go.
template <class Session>
operation session(const asked& a, int default_hz, const char* name) {
  const view how(a.target.parameters, a.options, view::text::none);
  const core::kind kind = std::is_same_v<Session, cpu_session> ? core::kind::cpu : core::kind::wall;
  if (const char* const mistake = how.mistake(kind, name)) return failure(400, mistake);
  const std::string_view hz_given = a.target.parameters["hz"];
  const long hz = hz_given.empty() ? default_hz : to_number(hz_given).value_or(0);
  if (hz < 1 || hz > samplers::highest_hz) {
    return failure(400, "invalid value for \"hz\" - must be an integer from 1 to 10000");
  }
  const long given = a.target.parameters.number("seconds");
  const long seconds = given > 0 ? given : 30;
  return open_window(a, seconds, how, name, [&](window_slot slot) -> operation {
    auto window = std::make_unique<session_window<Session>>(static_cast<int>(hz), how, name);
    if (const std::error_code error = window->error()) {
      return failure(500, "Could not enable CPU profiling: " + error.message());
    }
    return {std::move(window), std::move(slot), std::chrono::seconds(seconds), how.show({}, name)};
  });
}

inline operation difference(const asked& a, const profile& p, const view& how) {
  const long seconds = to_number(a.target.parameters["seconds"]).value_or(0);
  if (seconds <= 0) {
    return failure(400, "invalid value for \"seconds\" - must be a positive integer");
  }
  if (how.debug() != 0) return failure(400, "seconds and debug params are incompatible");
  const std::string file = std::string(p.name()) + "-delta";
  return open_window(a, seconds, how, file, [&](window_slot slot) -> operation {
    return {std::make_unique<difference_window>(p, how), std::move(slot),
            std::chrono::seconds(seconds), how.show({}, file)};
  });
}

// Written without a copy of its rows where it can be.
inline response now(const profile& p, const view& how) {
  const bool is_dump = p.kind() == core::kind::goroutine && how.debug() > 1;
  if (is_dump && how.has_labels()) return failure(400, "debug=2 and label params are incompatible");
  if (!how.is_plain()) return how.show(p.snapshot(), p.name());
  const int debug = static_cast<int>(std::clamp<long>(how.debug(), 0, 2));
  const auto write = [&](sink& out) { return p.write_to(std::move(out), debug); };
  return how.written(write, [&](std::string body) {
    return debug > 0 ? answer(std::move(body), plain_text) : attachment(std::move(body), p.name());
  });
}

inline operation named(const asked& a) {
  const profile* const p = lookup(a.name);
  if (p == nullptr) return failure(404, "Unknown profile");
  const view how(a.target.parameters, a.options);
  if (const char* const mistake = how.mistake(p->kind(), p->name())) return failure(400, mistake);
  return a.target.parameters["seconds"].empty() ? now(*p, how) : difference(a, *p, how);
}

// Only where nothing but what is in use can shrink.
inline operation delta(const asked& a, const profile& p) {
  const view how(a.target.parameters, a.options);
  if (const char* const mistake = how.mistake(p.kind(), p.name())) return failure(400, mistake);
  return how.show(last_rows::advance(p), a.name);
}

inline const profile* of_delta(std::string_view name) {
  constexpr std::string_view begin = "delta_";
  const profile* const p = name.starts_with(begin) ? lookup(name.substr(begin.size())) : nullptr;
  if (p == nullptr) return nullptr;
  switch (p->kind()) {
    case core::kind::allocs:
    case core::kind::block:
    case core::kind::heap:
    case core::kind::mutex:
    case core::kind::mutex_hold:
      return p;
    default:
      return nullptr;
  }
}

inline operation cmdline(const asked& a) {
  if (!a.options.cmdline) return failure(404, "Unknown profile");
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.ends_with('\0')) text.pop_back();
  return answer(std::move(text), plain_text);
}

inline operation index(const asked& a) {
  const std::string_view form = a.target.parameters["format"];
  return form == "json"
             ? answer(index_json(a.options.cmdline), "application/json")
             : answer(index_html(a.options.prefix, a.options.cmdline), "text/html; charset=utf-8");
}

inline operation symbol(const asked& a) {
  return answer(names_of(a.it.method == "POST" ? a.it.body : a.target.query), plain_text);
}

// Nothing on the page but its own script runs, and it asks none but this server.
inline operation ui() {
  std::random_device random;
  std::string nonce;
  for (int i = 0; i < 4; ++i) nonce += sys::to_hex(random());
  response r = answer(format::flame_page("null", nonce), "text/html; charset=utf-8");
  r.headers.emplace_back("Content-Security-Policy",
                         "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" +
                             nonce +
                             "'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                             "frame-ancestors 'none'");
  return r;
}

inline bool is_symbol(std::string_view name) {
  return name == "symbol" || (name.ends_with("/symbol") && lookup(name) == nullptr);
}

inline operation below_prefix(const asked& a) {
  if (a.name.empty()) return index(a);
  if (a.name == "ui") return ui();
  if (is_symbol(a.name)) return symbol(a);
  if (a.name == "profile") return session<cpu_session>(a, cpu_options{}.hz, "profile");
  if (a.name == "wall") return session<wall_session>(a, wall_options{}.hz, "wall");
  if (a.name == "cmdline") return cmdline(a);
  if (a.name == "trace") {
    return failure(404, "There is no execution trace of a C++ program: see profile and wall");
  }
  if (const profile* const p = of_delta(a.name)) return delta(a, *p);
  return named(a);
}

inline response redirect(const http::options& o, std::string_view query) {
  response r = answer("", "text/html; charset=utf-8");
  r.status = 301;
  std::string to = o.prefix;
  const bool is_sound =
      std::all_of(query.begin(), query.end(), [](char c) { return c > ' ' && c < 127; });
  if (!query.empty() && is_sound) format::append(to, "?", query);
  r.headers.emplace_back("Location", std::move(to));
  return r;
}

}  // namespace routes

// Throws: std::invalid_argument for a prefix that does not begin and end with a slash.
inline void check(const options& o) {
  if (o.prefix.starts_with('/') && o.prefix.ends_with('/')) return;
  sys::raise<std::invalid_argument>("http::options: the prefix \"" + o.prefix +
                                    "\" does not begin and end with a slash");
}

// Begins to answer. Requires: what `asked` views lives until this returns.
// Throws: as check; what options.authorize throws.
inline operation begin(const request& asked, const options& o = {}) {
  check(o);
  constexpr std::size_t longest_target = 8192;
  if (std::optional<response> refused = refusal(asked, o)) return std::move(*refused);
  if (asked.target.size() > longest_target) return failure(414, "the request is too long");
  if (asked.body.size() > o.max_body) return failure(413, "the request is too long");
  std::optional<operation> result;
  const std::error_code error = sys::as_error([&] {
    const target where(asked.target);
    const std::string_view path = where.path;
    const std::string_view folder = std::string_view(o.prefix).substr(0, o.prefix.size() - 1);
    const std::string beside(folder.substr(0, folder.rfind('/') + 1));
    const bool is_below = path.starts_with(o.prefix);
    const std::string_view name = is_below ? path.substr(o.prefix.size()) : std::string_view{};
    const bool reads = asked.method == "GET" || asked.method == "HEAD";
    if (!reads && !(asked.method == "POST" && is_below && routes::is_symbol(name))) {
      response r = failure(405, "Method Not Allowed");
      r.headers.emplace_back("Allow",
                             is_below && routes::is_symbol(name) ? "GET, HEAD, POST" : "GET, HEAD");
      result.emplace(std::move(r));
    } else if (is_below) {
      result.emplace(routes::below_prefix({asked, where, o, name}));
    } else if (path == folder) {
      result.emplace(routes::redirect(o, where.query));
    } else if (path == beside + "fgprof") {
      result.emplace(
          routes::session<wall_session>({asked, where, o, "fgprof"}, wall_options{}.hz, "fgprof"));
    } else {
      result.emplace(failure(404, "Not found: the profiles are at " + o.prefix));
    }
    return std::error_code{};
  });
  return error ? operation(failure(error)) : std::move(*result);
}

// Answers; a window holds the calling thread as long as it is, or until the client has gone.
// Requires and throws: as begin.
inline response handle(const request& asked, const options& o = {}) {
  operation it = begin(asked, o);
  const auto end = std::chrono::steady_clock::now() + it.delay();
  constexpr std::chrono::milliseconds look_again{50};
  for (auto now = end - it.delay(); now < end; now = std::chrono::steady_clock::now()) {
    if (asked.cancelled && asked.cancelled()) return failure(500, "context canceled");
    std::this_thread::sleep_for(
        asked.cancelled ? std::min<std::chrono::nanoseconds>(end - now, look_again) : end - now);
  }
  response r = it.finish();
  if (asked.method == "HEAD") r.body.clear();
  return r;
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_HPP
