// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ for any server: no framework, no sockets. (Go: net/http/pprof)
//
//   auto r = whence::http::handle({.method = "GET", .target = "/debug/pprof/heap"});
//
// or, for answers of any length, in parts:
//
//   std::error_code e = whence::http::handle(request, head, [&](auto bytes) { return send(bytes);
//   });
//
// and for event loops, which a window of thirty seconds must not block (begin and finish still work
// in the calling thread: see operation::delay):
//
//   whence::http::operation it = whence::http::begin(request);
//   ... after it.delay() ...                            // a timer of the loop
//   whence::http::response r = it.finish();             // or destroy it, if the client has gone
//
//   $ go tool pprof http://127.0.0.1:6060/debug/pprof/heap
//   $ go tool pprof http://127.0.0.1:6060/debug/pprof/profile?seconds=10
//
// Below options.prefix:
//
//                        an index with counts, rates and open windows; ?format=json
//   ui                   flame graphs in the browser
//   heap, block, NAME    that profile; ?seconds=N: what happened in N seconds from now on
//   profile              CPU time of ?seconds=N (30), ?hz=H (100); several at once
//   wall                 wall-clock time of all threads, ?seconds=N (30), ?hz=H (99); also fgprof
//                        beside the prefix
//   delta_NAME           what was added since the last request for it, if NAME only grows
//   goroutine?debug=2    every thread, readable
//   symbol               names of addresses, by GET or POST, also below every folder
//   cmdline              the arguments, each ended by NUL but the last
//
// /pprof/heap and the like, the paths of gperftools and brpc, get the same answers if the prefix is
// or ends with /debug/pprof/.
//
// Every profile takes the parameters of http/render_options.hpp. http/access.hpp tells which
// requests are allowed. Errors are text with X-Go-Pprof, as `go tool pprof` wants them:
//
//   400 a parameter   401, 403 not allowed   404 no such profile   405 method   413, 414 too long
//   (of whence::server also 400, 411, 413, 415, 431: serve/exchange.hpp)
//   500 the system, or a whole answer above options.max_answer   503 too many windows: Retry-After
//
// Thread-safe: any number of requests at once, and options.max_windows windows. Responses never
// echo request data in their body; of the headers, only the redirect of the prefix without its last
// slash repeats the query, if it is plain text.
#ifndef WHENCE_HTTP_HPP
#define WHENCE_HTTP_HPP

#include <whence/config.hpp>

#include <system_error>

#include <whence/format/sink.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/request.hpp>
#include <whence/instruments/recorder.hpp>

namespace whence::inline v1::http {

// Throws: std::invalid_argument for a prefix that does not begin and end with a slash.
void check(const options& o);

// Begins to answer. Requires: what `asked` refers to lives until this returns. Throws: as check.
operation begin(const request& asked, const options& o = {});

// Answers a request; HEAD gets content_length and no body. A window holds the calling thread until
// it is over or the client has gone. Requires and throws: as begin.
response handle(const request& asked, const options& o = {});

// Answers a request in parts of some 64 KiB, so that a text of gigabytes takes no memory: `head` is
// complete before the first part is written to `body`, which may wait for the client: no lock of
// the profiles is held meanwhile. Returns the failure of `body`, or one that came after the first
// part: then end the connection, so that the client does not take a part for the whole. Requires
// and throws: as handle above.
std::error_code handle(const request& asked, response_head& head, sink body, const options& o = {});

}  // namespace whence::inline v1::http

#ifndef WHENCE_COMPILED
#include <whence/impl/http.ipp>
#endif

#endif  // WHENCE_HTTP_HPP
