// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ on a server that the program runs with cpp-httplib:
//
//   httplib::Server mine;
//   whence::mount(mine);                        // answers this machine alone: http::options
//
// A program without a server of its own uses whence::server, of <whence/server.hpp>.
//
// Include it with the macros that cpp-httplib was built with (Debian: pkg-config --cflags
// cpp-httplib). A profile is sent in chunks as it is made. The response to a window begins with its
// headers and ends, after its seconds, with the profile. If the client goes away before, the window
// ends within a tenth of a second. A client of HTTP/1.0 gets the headers with the whole profile, of
// at most options.max_answer.
//
// A window holds one of the server's threads, of which there are 8 by default: options.max_windows
// limits them, and httplib::Server::stop() waits for them. whence::server has threads of its own
// for windows.
//
// The settings of the server stay as the program made them: how long a body or a head may be, how
// long it waits for them, and 404 for what is not below the prefix or is longer than 256 letters.
// (httplib finds routes by std::regex, which takes half a kilobyte of stack for each letter it
// matches, so an unlimited path would overflow the stack.)
//
// Call mount before the server listens, in one thread at a time. The routes are thread-safe.
#ifndef WHENCE_HTTPLIB_HPP
#define WHENCE_HTTPLIB_HPP

#include <whence/config.hpp>

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <whence/http.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/request.hpp>

namespace whence::inline v1 {

namespace http {

// Sets everything but the body, because httplib takes the content type apart from it.
inline std::string give_headers(const response_head& from, httplib::Response& to) {
  std::string type;
  to.status = from.status;
  for (const auto& [name, value] : from.headers) {
    if (name == "Content-Type") {
      type = value;
    } else {
      to.set_header(name, value);
    }
  }
  return type;
}

// Sends the profile when the window is over, part by part. False if the client has gone, or the
// profile could not be made.
inline bool send_later(operation& it, std::chrono::steady_clock::time_point end,
                       httplib::DataSink& to) {
  constexpr std::chrono::milliseconds look_again{50};
  for (auto now = std::chrono::steady_clock::now(); now < end;
       now = std::chrono::steady_clock::now()) {
    if (!to.is_writable()) return false;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(end - now, look_again));
  }
  response_head head;
  const auto send = [&](std::span<const std::byte> bytes) {
    const bool is_sent =
        head.status == 200 && to.write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return is_sent ? std::error_code() : std::make_error_code(std::errc::operation_canceled);
  };
  if (it.finish(head, send)) return false;
  to.done();
  return true;
}

inline void give_whole(const response& r, bool is_head, httplib::Response& to) {
  const std::string type = give_headers(r, to);
  if (!is_head) {
    to.set_content(r.body, type);
  } else if (r.content_length && *r.content_length > 0) {
    // It is never called, but httplib takes the length from it.
    to.set_content_provider(*r.content_length, type,
                            [](std::size_t, std::size_t, httplib::DataSink&) { return false; });
  } else if (!r.content_length) {
    to.set_chunked_content_provider(type, [](std::size_t, httplib::DataSink&) { return false; });
  } else {
    to.set_content("", type);
  }
}

inline void answer(const httplib::Request& asked, httplib::Response& to, const options& o) {
  // Requests for a range get the whole profile, since a part of it cannot be read. httplib passes
  // the request as const only to prevent mistakes of handlers.
  const_cast<httplib::Request&>(asked).ranges.clear();
  const std::string authorization = asked.get_header_value("Authorization");
  const std::string host = asked.get_header_value("Host");
  const std::string fetch_site = asked.get_header_value("Sec-Fetch-Site");
  auto it = std::make_shared<operation>(begin({.method = asked.method,
                                               .target = asked.target,
                                               .body = asked.body,
                                               .authorization = authorization,
                                               .host = host,
                                               .peer = asked.remote_addr,
                                               .fetch_site = fetch_site},
                                              o));
  const bool is_head = asked.method == "HEAD";
  if (it->delay().count() != 0 && asked.version == "HTTP/1.0") {
    std::this_thread::sleep_for(it->delay());
  } else if (!it->is_ready() && !is_head && asked.version != "HTTP/1.0") {
    const auto end = std::chrono::steady_clock::now() + it->delay();
    const std::string type = give_headers(it->head(), to);
    return to.set_chunked_content_provider(
        type, [it, end](std::size_t, httplib::DataSink& out) { return send_later(*it, end, out); });
  }
  give_whole(it->finish(), is_head, to);
}

// A pattern that matches only the text.
inline std::string escaped_for_regex(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '_';
    if (!plain) result += '\\';
    result += c;
  }
  return result;
}

}  // namespace http

// Adds the routes to a server, before it listens. Throws: std::invalid_argument for a prefix that
// does not begin and end with a slash.
inline void mount(httplib::Server& on, http::options o = {}) {
  http::check(o);
  const std::string folder = o.prefix.substr(0, o.prefix.size() - 1);
  const std::string beside = folder.substr(0, folder.rfind('/') + 1);
  std::vector<std::string> patterns = {
      http::escaped_for_regex(folder) + "(/[\\s\\S]{0,256})?",
      http::escaped_for_regex(beside.empty() ? "/" : beside) + "fgprof"};
  if (const std::string old = http::old_prefix(o); !old.empty()) {
    patterns.push_back(http::escaped_for_regex(old) + "[\\s\\S]{0,256}");
  }
  const httplib::Server::Handler handler = [o = std::move(o)](const httplib::Request& asked,
                                                              httplib::Response& to) {
    http::answer(asked, to, o);
  };
  for (const std::string& pattern : patterns) {
    on.Get(pattern, handler);
    // These are answered 405, except for POST to symbol.
    on.Post(pattern, handler);
    on.Put(pattern, handler);
    on.Patch(pattern, handler);
    on.Delete(pattern, handler);
    on.Options(pattern, handler);
  }
}

}  // namespace whence::inline v1

#endif  // WHENCE_HTTPLIB_HPP
