// SPDX-License-Identifier: Apache-2.0
//
// The part of HTTP/1.1 that this server needs: it parses the head of a request, and writes the head
// of an answer and the chunks of its body. (RFC 9112)
//
//   GET /debug/pprof/heap HTTP/1.1 CRLF
//   Host: 127.0.0.1:6060 CRLF              at most 100 of these
//   CRLF
//
// The parser is strict: what the RFC lets a server repair (a bare LF, a folded field) is refused,
// since servers that repair it differently can be played off against each other.
#ifndef WHENCE_SERVE_MESSAGE_HPP
#define WHENCE_SERVE_MESSAGE_HPP

#include <time.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <whence/format/text_parts.hpp>
#include <whence/http/access.hpp>
#include <whence/http/request.hpp>
#include <whence/sys/digits.hpp>

namespace whence::inline v1::serve {

inline constexpr std::size_t longest_head = 65536;

// The bytes of a head with its blank line; 0 if it has not come completely.
inline std::size_t size_of_head(std::string_view received) noexcept {
  const std::size_t at = received.find("\r\n\r\n");
  return at == std::string_view::npos ? 0 : at + 4;
}

// All members are views of the parsed text.
struct message_head {
  std::string_view method;
  std::string_view target;  // begins with the path
  bool is_1_0 = false;
  std::vector<std::pair<std::string, std::string_view>> fields;  // names in lower case

  std::ptrdiff_t count(std::string_view name) const noexcept {
    return std::count_if(fields.begin(), fields.end(),
                         [&](const auto& f) { return f.first == name; });
  }
  bool has(std::string_view name) const noexcept { return count(name) != 0; }

  // The value of the first field with that name; empty if the head has no such field.
  std::string_view operator[](std::string_view name) const noexcept {
    for (const auto& [key, value] : fields) {
      if (key == name) return value;
    }
    return {};
  }

  // True if the client may send more requests through this connection.
  bool keeps_alive() const {
    const std::string wish = http::lower_case((*this)["connection"]);
    if (wish.find("close") != std::string::npos) return false;
    return !is_1_0 || wish.find("keep-alive") != std::string::npos;
  }
};

// Returns nullopt if the text is no valid request.
inline std::optional<message_head> parse_head(std::string_view text) {
  constexpr std::size_t most_fields = 100;
  const auto is_plain = [](unsigned char c) { return c == '\t' || (c >= ' ' && c != 127); };
  const auto is_token = [](unsigned char c) { return c > ' ' && c < 127 && c != ':'; };
  const auto next_line = [&text] {
    const std::string_view line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(line.size() + 2);
    return line;
  };
  message_head head;
  const std::string_view request = next_line();
  const std::size_t first = request.find(' ');
  const std::size_t last = request.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last <= first + 1) return std::nullopt;
  head.method = request.substr(0, first);
  head.target = request.substr(first + 1, last - first - 1);
  const std::string_view version = request.substr(last + 1);
  head.is_1_0 = version == "HTTP/1.0";
  if (!head.is_1_0 && version != "HTTP/1.1") return std::nullopt;
  const auto is_visible = [](unsigned char c) { return c > ' ' && c != 127; };
  if (!std::all_of(head.method.begin(), head.method.end(), is_token) ||
      !std::all_of(head.target.begin(), head.target.end(), is_visible)) {
    return std::nullopt;
  }
  constexpr std::string_view scheme = "http://";  // the form that proxies get
  if (http::lower_case(head.target.substr(0, scheme.size())) == scheme) {
    const std::size_t path = head.target.find('/', scheme.size());
    head.target = path == std::string_view::npos ? "/" : head.target.substr(path);
  }
  for (std::string_view line = next_line(); !line.empty(); line = next_line()) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 || head.fields.size() == most_fields ||
        !std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(colon), is_token) ||
        !std::all_of(line.begin(), line.end(), is_plain)) {
      return std::nullopt;
    }
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
    while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
    head.fields.emplace_back(http::lower_case(line.substr(0, colon)), value);
  }
  const std::ptrdiff_t hosts = head.count("host");
  return hosts == 1 || (hosts == 0 && head.is_1_0) ? std::optional(std::move(head)) : std::nullopt;
}

inline const char* reason_of(int status) noexcept {
  struct row {
    int status;
    const char* reason;
  };
  constexpr row all[] = {
      {200, "OK"},
      {301, "Moved Permanently"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {411, "Length Required"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {503, "Service Unavailable"},
  };
  for (const row& r : all) {
    if (r.status == status) return r.reason;
  }
  return "";
}

// The form is "Sun, 06 Nov 1994 08:49:37 GMT" in every locale.
inline std::string http_date(::time_t seconds) {
  constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  ::tm t{};
  ::gmtime_r(&seconds, &t);
  std::array<char, 80> text;
  std::snprintf(text.data(), text.size(), "%s, %02d %s %d %02d:%02d:%02d GMT", days[t.tm_wday % 7],
                t.tm_mday, months[t.tm_mon % 12], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
  return text.data();
}

// The length of the body that follows: a number, unknown, or unknown and sent in chunks.
struct body_length {
  std::optional<std::size_t> bytes;
  bool is_chunked = false;
};

// `keeps`: the connection is kept.
inline std::string text_of(const http::response_head& h, body_length length, bool keeps) {
  std::string text;
  format::append(text, "HTTP/1.1 ", static_cast<std::int64_t>(h.status), " ", reason_of(h.status),
                 "\r\nDate: ", http_date(::time(nullptr)), "\r\n");
  for (const auto& [name, value] : h.headers) format::append(text, name, ": ", value, "\r\n");
  if (length.bytes) {
    format::append(text, "Content-Length: ", static_cast<std::int64_t>(*length.bytes), "\r\n");
  }
  if (length.is_chunked) text += "Transfer-Encoding: chunked\r\n";
  format::append(text, "Connection: ", keeps ? "keep-alive" : "close", "\r\n\r\n");
  return text;
}

// A part of a body in chunks, with the end of the body if it is the last.
inline std::string chunk_of(std::string_view bytes, bool is_last) {
  std::string text;
  if (!bytes.empty()) format::append(text, sys::to_hex(bytes.size()), "\r\n", bytes, "\r\n");
  if (is_last) text += "0\r\n\r\n";
  return text;
}

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_MESSAGE_HPP
