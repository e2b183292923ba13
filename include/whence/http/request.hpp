// SPDX-License-Identifier: Apache-2.0
//
// The handler's request, answer and options. They use no framework's types, so that an adapter for
// any server takes a few lines.
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

// The server keeps what these view until the request is answered.
struct request {
  std::string_view method = "GET";
  std::string_view target = {};          // path and query as they were sent, still percent-encoded
  std::string_view body = {};            // of POST
  std::string_view authorization = {};   // the header of that name
  std::string_view host = {};            // the header of that name; not checked if empty
  std::string_view peer = {};            // the client's address, "127.0.0.1"; not checked if empty
  std::string_view fetch_site = {};      // the header Sec-Fetch-Site
  std::function<bool()> cancelled = {};  // true if the client has gone; may be empty, and
                                         // is called often, by the thread that makes the answer
};

// An answer without its body, which is streamed.
struct response_head {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};  // Content-Length is the server's

  // The answer to HEAD has no body: this is the length of GET's body, if it is known.
  std::optional<std::size_t> content_length = {};
};

// A whole answer.
struct response : response_head {
  std::string body = {};
};

struct options {
  // The path of the routes. Begins and ends with a slash.
  std::string prefix = "/debug/pprof/";

  // True if other machines are answered too. Profiles tell names, paths and command lines.
  bool allow_remote = false;

  // If not empty, clients have to send it, as `Authorization: Bearer TOKEN` or as the password of
  // Basic, which browsers and `go tool pprof http://me:TOKEN@host/...` send.
  std::string token = {};

  // The last check, made for every request; whence::server makes it before it reads a body. False
  // is answered with 403; an exception with 500, whose text is not sent.
  std::function<bool(const request&)> authorize = {};

  bool cmdline = true;    // it may hold secrets
  int max_seconds = 300;  // of one window
  int max_windows = 16;   // at once, in the process; above it 503
  std::size_t max_body = 1 << 20;
  std::size_t max_answer = std::size_t{256} << 20;  // a text of a million stacks is 2 GB
};

// Clients made for gperftools and brpc look for profiles here: /pprof/ if the prefix is
// /debug/pprof/. Empty for other prefixes.
inline std::string old_prefix(const options& o) {
  constexpr std::string_view debug = "/debug/pprof/";
  if (!o.prefix.ends_with(debug)) return {};
  return o.prefix.substr(0, o.prefix.size() - debug.size()) + "/pprof/";
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_REQUEST_HPP
