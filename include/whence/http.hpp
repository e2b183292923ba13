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
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <whence/http/access.hpp>
#include <whence/http/answers.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/parameters.hpp>
#include <whence/http/request.hpp>
#include <whence/http/routes.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/raise.hpp>

namespace whence::inline v1::http {

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
      result.emplace(routes::answer_below_prefix({asked, where, o, name}));
    } else if (path == folder) {
      result.emplace(routes::redirect(o, where.query));
    } else if (path == beside + "fgprof") {
      result.emplace(routes::fgprof({asked, where, o, "fgprof"}));
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
