// SPDX-License-Identifier: Apache-2.0
//
// The two halves of a request's target: the path, decoded, and the parameters of the query.
#ifndef WHENCE_HTTP_PARAMETERS_HPP
#define WHENCE_HTTP_PARAMETERS_HPP

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace whence::inline v1::http {

// %41 becomes A. An invalid code stays as it is. In a query, + is a blank.
inline std::string percent_decoded(std::string_view text, bool plus_is_blank) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && text.size() - i > 2 &&
        std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2) {
      result += static_cast<char>(code);
      i += 2;
    } else {
      result += plus_is_blank && text[i] == '+' ? ' ' : text[i];
    }
  }
  return result;
}

// The value, if the whole text is a decimal number.
inline std::optional<long> to_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

class parameters {
 public:
  explicit parameters(std::string_view query) {
    while (!query.empty()) {
      const std::string_view one = query.substr(0, query.find('&'));
      query.remove_prefix(one.size() < query.size() ? one.size() + 1 : one.size());
      const std::size_t at = one.find('=');
      const std::string_view value =
          at == std::string_view::npos ? std::string_view{} : one.substr(at + 1);
      all_.emplace_back(percent_decoded(one.substr(0, at), true), percent_decoded(value, true));
    }
  }

  // The first value with that name; empty if the query has none. (Go: Request.FormValue)
  std::string_view operator[](std::string_view name) const noexcept {
    for (const auto& [key, value] : all_) {
      if (key == name) return value;
    }
    return {};
  }

  template <class Visit>
  void for_each(std::string_view name, Visit visit) const {
    for (const auto& [key, value] : all_) {
      if (key == name) visit(std::string_view(value));
    }
  }

  // Like Go's strconv.Atoi with its error ignored.
  long number(std::string_view name) const { return to_number((*this)[name]).value_or(0); }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

struct target {
  explicit target(std::string_view text)
      : path(percent_decoded(text.substr(0, text.find('?')), false)),
        query(text.find('?') == std::string_view::npos ? std::string_view{}
                                                       : text.substr(text.find('?') + 1)),
        parameters(query) {}

  std::string path;
  std::string_view query;
  http::parameters parameters;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_PARAMETERS_HPP
