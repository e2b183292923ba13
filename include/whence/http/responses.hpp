// SPDX-License-Identifier: Apache-2.0
//
// The headers of each kind of answer. (Go: net/http/pprof; what scrapers check: Content-Type)
#ifndef WHENCE_HTTP_RESPONSES_HPP
#define WHENCE_HTTP_RESPONSES_HPP

#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/http/request.hpp>

namespace whence::inline v1::http {

inline constexpr const char* plain_text = "text/plain; charset=utf-8";

inline response_head head_of_type(const char* content_type) {
  return {200,
          {{"Content-Type", content_type},
           {"X-Content-Type-Options", "nosniff"},
           {"Cross-Origin-Resource-Policy", "same-origin"}}};
}

inline response answer(std::string body, const char* content_type) {
  return {head_of_type(content_type), std::move(body)};
}

// The head of a profile to be saved. Characters that could break a header or a file name are
// replaced.
inline response_head head_of_attachment(std::string_view name) {
  std::string file;
  for (const char c : name) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-' || c == '_';
    file += plain ? c : '_';
  }
  response_head head = head_of_type("application/octet-stream");
  head.headers.emplace_back("Content-Disposition", "attachment; filename=\"" + file + "\"");
  return head;
}

// `go tool pprof` shows the text if X-Go-Pprof says that it is one. It never repeats the request.
inline response failure(int status, std::string_view text) {
  response r = answer(std::string(text) + "\n", plain_text);
  r.status = status;
  r.headers.emplace_back("X-Go-Pprof", "1");
  return r;
}

inline response failure(std::error_code error) {
  return failure(500, "failed to collect profile: " + error.message());
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_RESPONSES_HPP
