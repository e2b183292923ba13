// SPDX-License-Identifier: Apache-2.0
//
// Decides which requests are answered. The checks, in this order:
//
//   peer           this machine, unless options.allow_remote
//   Host           an address or localhost, unless options.allow_remote: a page of the Web whose
//                  name leads to 127.0.0.1 is refused (DNS rebinding)
//   Sec-Fetch-Site not cross-site, as browsers say when a page elsewhere asks
//   Authorization  options.token
//   options.authorize
#ifndef WHENCE_HTTP_ACCESS_HPP
#define WHENCE_HTTP_ACCESS_HPP

#include <arpa/inet.h>
#include <netinet/in.h>

#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <whence/http/request.hpp>
#include <whence/http/responses.hpp>
#include <whence/sys/catch_error.hpp>

namespace whence::inline v1::http {

// True for an address of this machine's loopback interface, also for IPv4 mapped to IPv6.
inline bool is_loopback(std::string_view address) {
  const std::string text(address);
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

inline std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return result;
}

// True if the value of a Host header ("localhost:6060", "[::1]:6060") needs no name server.
inline bool is_address_or_localhost(std::string_view host) {
  if (host.starts_with('[')) {
    in6_addr v6{};
    const std::string text(host.substr(1, host.find(']') - 1));
    return ::inet_pton(AF_INET6, text.c_str(), &v6) == 1;
  }
  const std::string name = lower_case(host.substr(0, host.find(':')));
  in_addr v4{};
  return name == "localhost" || name.ends_with(".localhost") ||
         ::inet_pton(AF_INET, name.c_str(), &v4) == 1;
}

// Takes the same time whatever `given` holds; only its length matters.
inline bool equal_in_constant_time(std::string_view given, std::string_view secret) noexcept {
  std::size_t difference = given.size() ^ secret.size();
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char c = secret.empty() ? '\0' : secret[i % secret.size()];
    difference |= static_cast<unsigned char>(given[i] ^ c);
  }
  return difference == 0;
}

// RFC 4648. The text ends at the first character that is not a base64 digit.
inline std::string base64_decoded(std::string_view text) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t digit = digits.find(c);
    if (digit == std::string_view::npos) break;
    bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    result += static_cast<char>(bits >> count & 0xff);
  }
  return result;
}

// The secret in an Authorization header: the token of Bearer, or the password of Basic (RFC 7617).
inline std::string secret_of(std::string_view authorization) {
  const std::size_t blank = authorization.find(' ');
  if (blank == std::string_view::npos) return {};
  const std::string scheme = lower_case(authorization.substr(0, blank));
  const std::string_view rest = authorization.substr(blank + 1);
  if (scheme == "bearer") return std::string(rest);
  if (scheme != "basic") return {};
  const std::string pair = base64_decoded(rest);
  const std::size_t colon = pair.find(':');
  return colon == std::string::npos ? std::string{} : pair.substr(colon + 1);
}

// The answer that refuses the request; nullopt if the request is allowed.
inline std::optional<response> refusal(const request& asked, const options& o) {
  if (!o.allow_remote) {
    if (!asked.peer.empty() && !is_loopback(asked.peer)) {
      return failure(403, "only this machine is answered: see allow_remote");
    }
    if (!asked.host.empty() && !is_address_or_localhost(asked.host)) {
      return failure(403, "only an address or localhost is a host here: see allow_remote");
    }
  }
  if (asked.fetch_site == "cross-site") {
    return failure(403, "a page of another site asked: open the address by itself");
  }
  if (!o.token.empty() && !equal_in_constant_time(secret_of(asked.authorization), o.token)) {
    response r = failure(401, "a token is needed");
    r.headers.emplace_back("WWW-Authenticate", "Basic realm=\"whence\"");
    return r;
  }
  if (!o.authorize) return std::nullopt;
  bool is_allowed = false;
  const std::error_code error = sys::catch_error([&] {
    is_allowed = o.authorize(asked);
    return std::error_code{};
  });
  if (error) return failure(500, "options.authorize failed");
  return is_allowed ? std::nullopt : std::optional(failure(403, "not authorized"));
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_ACCESS_HPP
