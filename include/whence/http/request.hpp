// SPDX-License-Identifier: Apache-2.0
//
// What the handler is asked, what it answers, and what it may: no framework's types, so that every
// server's can be translated to them in a few lines.
#ifndef WHENCE_HTTP_REQUEST_HPP
#define WHENCE_HTTP_REQUEST_HPP

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace whence::inline v1::http {

// Views of what the server keeps until the request is answered.
struct request {
  std::string_view method = "GET";
  std::string_view target = {};          // path and query as they were sent, still percent-encoded
  std::string_view body = {};            // of POST
  std::string_view authorization = {};   // the header of that name
  std::string_view host = {};            // the header of that name; empty: not checked
  std::string_view peer = {};            // the client's address, "127.0.0.1"; empty: not checked
  std::string_view fetch_site = {};      // the header Sec-Fetch-Site
  std::function<bool()> cancelled = {};  // whether the client has gone; empty: not known
};

struct response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // Content-Length is the server's
  std::string body;

  // Of HEAD, which has no body: how long that of GET is, where it is known.
  std::optional<std::size_t> content_length = {};
};

struct options {
  // Where the routes are. Begins and ends with a slash.
  std::string prefix = "/debug/pprof/";

  // Whether others than this machine are answered. Profiles tell names, paths and command lines.
  bool allow_remote = false;

  // Asked for as `Authorization: Bearer TOKEN`, or as the password of Basic, which browsers and
  // `go tool pprof http://me:TOKEN@host/...` send. Empty: not asked for.
  std::string token = {};

  // Asked last, for every request, by whence::server before it reads a body; false is answered with
  // 403, an exception with 500, and what it says is told to nobody.
  std::function<bool(const request&)> authorize = {};

  bool cmdline = true;    // it may hold secrets
  int max_seconds = 300;  // of one window
  int max_windows = 16;   // at once, in the process; above it 503
  std::size_t max_body = 1 << 20;
  std::size_t max_answer = std::size_t{256} << 20;  // a text of a million stacks is 2 GB
};

// Where gperftools and brpc have their profiles, and clients made for those look: /pprof/ of
// /debug/pprof/. Empty: of another prefix there is none.
inline std::string old_prefix(const options& o) {
  constexpr std::string_view debug = "/debug/pprof/";
  if (!o.prefix.ends_with(debug)) return {};
  return o.prefix.substr(0, o.prefix.size() - debug.size()) + "/pprof/";
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_REQUEST_HPP
