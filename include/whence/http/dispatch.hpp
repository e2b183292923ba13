// SPDX-License-Identifier: Apache-2.0
//
// Turns an allowed request into its answer, or into the window that makes it, after checks of the
// options, the method and the path.
#ifndef WHENCE_HTTP_DISPATCH_HPP
#define WHENCE_HTTP_DISPATCH_HPP

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/core/profile.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/parameters.hpp>
#include <whence/http/request.hpp>
#include <whence/http/responses.hpp>
#include <whence/http/routes.hpp>
#include <whence/profile.hpp>
#include <whence/sys/catch_error.hpp>

namespace whence::inline v1::http {

// The part of a decoded path below the prefix, or below the path that gperftools and brpc use.
inline std::optional<std::string_view> below(std::string_view path, const options& o) {
  if (path.starts_with(o.prefix)) return path.substr(o.prefix.size());
  const std::string old = old_prefix(o);
  if (old.empty() || !path.starts_with(old)) return std::nullopt;
  return path.substr(old.size());
}

// True if this route reads a body.
inline bool takes_body(const request& asked, const options& o) {
  const target where(asked.target);
  const std::optional<std::string_view> name = below(where.path, o);
  return asked.method == "POST" && name && routes::is_symbol(*name);
}

// How much work an answer is, so that a server can keep a short one from waiting for long ones.
enum class effort {
  little,  // a page, an error
  usual,
  much,       // a profile of more than 1024 stacks
  very_much,  // of more than 65536: tens of megabytes, and seconds
};
inline constexpr std::size_t effort_count = 4;

inline effort effort_of(const request& asked, const options& o) {
  const target where(asked.target);
  const std::optional<std::string_view> name = below(where.path, o);
  if (!name) return where.path.ends_with("fgprof") ? effort::usual : effort::little;
  if (routes::is_symbol(*name)) return effort::usual;
  const profile* p = routes::of_delta(*name);
  if (p == nullptr) p = lookup(*name);
  if (p != nullptr) {
    const std::size_t stacks = p->rows().size;
    return stacks > 65536 ? effort::very_much : stacks > 1024 ? effort::much : effort::usual;
  }
  return *name == "profile" || *name == "wall" ? effort::usual : effort::little;
}

inline operation choose(const request& asked, const options& o) {
  const target where(asked.target);
  const std::string_view path = where.path;
  const std::string_view folder = std::string_view(o.prefix).substr(0, o.prefix.size() - 1);
  const std::string beside =
      folder.empty() ? "/" : std::string(folder.substr(0, folder.rfind('/') + 1));
  const std::optional<std::string_view> name = below(path, o);
  const bool is_symbol = name && routes::is_symbol(*name);
  const bool reads = asked.method == "GET" || asked.method == "HEAD";
  if (!reads && !(asked.method == "POST" && is_symbol)) {
    response r = failure(405, "Method Not Allowed");
    r.headers.emplace_back("Allow", is_symbol ? "GET, HEAD, POST" : "GET, HEAD");
    return r;
  }
  if (path == beside + "fgprof") return routes::fgprof({asked, where, o, "fgprof"});
  if (name) return routes::answer_below_prefix({asked, where, o, *name});
  if (path == folder) return routes::redirect(o, where.query);
  return failure(404, "Not found: the profiles are at " + o.prefix);
}

// Requires: access.hpp does not refuse `asked`; what `asked` views lives until this returns.
inline operation begin_allowed(const request& asked, const options& o) {
  constexpr std::size_t longest_target = 8192;
  std::optional<operation> result;
  if (asked.target.size() > longest_target) result.emplace(failure(414, "the request is too long"));
  if (asked.body.size() > o.max_body) result.emplace(failure(413, "the request is too long"));
  if (!result) {
    const std::error_code error = sys::catch_error([&] {
      result.emplace(choose(asked, o));
      return std::error_code{};
    });
    if (error) result.emplace(failure(error));
  }
  result->set_most(o.max_answer);
  if (asked.method == "HEAD") result->drop_body();
  return std::move(*result);
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_DISPATCH_HPP
