// SPDX-License-Identifier: Apache-2.0
//
// The routes below options.prefix: one row and one function each. Statuses and texts are Go's
// (net/http/pprof); those that Go lacks are in its manner.
#ifndef WHENCE_HTTP_ROUTES_HPP
#define WHENCE_HTTP_ROUTES_HPP

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/core/kinds.hpp>
#include <whence/cpu.hpp>
#include <whence/format/flame_page.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/http/index_page.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/parameters.hpp>
#include <whence/http/render.hpp>
#include <whence/http/render_options.hpp>
#include <whence/http/request.hpp>
#include <whence/http/responses.hpp>
#include <whence/http/symbol.hpp>
#include <whence/http/windows.hpp>
#include <whence/profile.hpp>
#include <whence/samplers/cpu_sampler.hpp>
#include <whence/samplers/session.hpp>
#include <whence/samplers/wall_sampler.hpp>
#include <whence/sys/digits.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/wall.hpp>

namespace whence::inline v1::http::routes {

// The arguments of a route.
struct asked {
  const request& it;
  const http::target& target;
  const http::options& options;
  std::string_view name;  // below the prefix
};

// HEAD opens no window: its answer has an empty window's headers, without a length.
inline operation open_window(const asked& a, long seconds, const render_options& how,
                             std::string_view file, auto make) {
  if (seconds > a.options.max_seconds) {
    return failure(400, "invalid value for \"seconds\" - must be at most " +
                            std::to_string(a.options.max_seconds));
  }
  if (a.it.method == "HEAD") return operation::of_unknown_length(head_of(how, file));
  window_slot slot(a.options.max_windows);
  if (!slot) {
    response r = failure(503, "too many windows are open");
    r.headers.emplace_back("Retry-After", "1");
    return r;
  }
  return make(std::move(slot));
}

// Session: cpu_session or wall_session, by its Sampler. Without a valid ?seconds= the window is 30
// s, as in Go, or max_seconds if that is less.
template <class Session, class Sampler>
operation session(const asked& a, int default_hz, const char* name) {
  const render_options how(a.target.parameters, has_text::no);
  if (const char* const mistake = how.mistake_for(Sampler::kind, name))
    return failure(400, mistake);
  const std::string_view hz_given = a.target.parameters["hz"];
  const long hz = hz_given.empty() ? default_hz : to_number(hz_given).value_or(0);
  if (hz < 1 || hz > samplers::highest_hz) {
    return failure(400, "invalid value for \"hz\" - must be an integer from 1 to 10000");
  }
  const long given = a.target.parameters.number("seconds");
  const long seconds = given > 0 ? given : std::min(30, a.options.max_seconds);
  return open_window(a, seconds, how, name, [&](window_slot slot) -> operation {
    auto window = std::make_unique<session_window<Session>>(static_cast<int>(hz), how);
    if (const std::error_code error = window->error()) {
      return failure(500, "Could not enable CPU profiling: " + error.message());
    }
    return {std::move(window), std::move(slot), std::chrono::seconds(seconds), head_of(how, name)};
  });
}

// Requires: the request outlives it.
inline sys::work_check check_of(const request& asked) noexcept {
  return {[](const void* it) {
            const request& r = *static_cast<const request*>(it);
            return !r.cancelled || !r.cancelled();
          },
          &asked};
}

inline operation difference(const asked& a, const profile& p, const render_options& how) {
  const long seconds = to_number(a.target.parameters["seconds"]).value_or(0);
  if (seconds <= 0) {
    return failure(400, "invalid value for \"seconds\" - must be a positive integer");
  }
  if (how.debug != 0) return failure(400, "seconds and debug params are incompatible");
  const std::string file = std::string(p.name()) + "-delta";
  return open_window(a, seconds, how, file, [&](window_slot slot) -> operation {
    return {std::make_unique<difference_window>(p, how, check_of(a.it)), std::move(slot),
            std::chrono::seconds(seconds), head_of(how, file)};
  });
}

inline operation now(const profile& p, const render_options& how) {
  const bool is_dump = core::info(p.kind()).is_dump && how.debug > 1;
  if (is_dump && !how.labels.empty())
    return failure(400, "debug=2 and label params are incompatible");
  return {std::make_unique<whole_profile>(p, how), head_of(how, p.name())};
}

inline operation named(const asked& a) {
  const profile* const p = lookup(a.name);
  if (p == nullptr) return failure(404, "Unknown profile");
  const render_options how(a.target.parameters);
  if (const char* const mistake = how.mistake_for(p->kind(), p->name()))
    return failure(400, mistake);
  return a.target.parameters["seconds"].empty() ? now(*p, how) : difference(a, *p, how);
}

// Only for profiles in which nothing but the values in use can shrink.
inline operation delta(const asked& a, const profile& p) {
  const render_options how(a.target.parameters);
  if (const char* const mistake = how.mistake_for(p.kind(), p.name())) return failure(400, mistake);
  return {std::make_unique<http::delta>(p, how, a.it.method == "HEAD"), head_of(how, a.name)};
}

inline const profile* of_delta(std::string_view name) {
  constexpr std::string_view begin = "delta_";
  const profile* const p = name.starts_with(begin) ? lookup(name.substr(begin.size())) : nullptr;
  if (p == nullptr) return nullptr;
  return core::info(p->kind()).sum_count > 0 ? p : nullptr;
}

inline operation cmdline(const asked& a) {
  if (!a.options.cmdline) return failure(404, "Unknown profile");
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.ends_with('\0')) text.pop_back();
  return answer(std::move(text), plain_text);
}

inline operation index(const asked& a) {
  const std::string_view form = a.target.parameters["format"];
  return form == "json" ? answer(index_json(a.options), "application/json")
                        : answer(index_html(a.options), "text/html; charset=utf-8");
}

inline operation symbol(const asked& a) {
  const std::string_view addresses = a.it.method == "POST" ? a.it.body : a.target.query;
  return {std::make_unique<names>(std::string(addresses)), head_of_type(plain_text)};
}

// On the page only its own script runs, which sends requests to this server only.
inline operation ui(const asked&) {
  std::random_device random;
  std::string nonce;
  for (int i = 0; i < 4; ++i)
    nonce += sys::to_hex(random() | 1U << 31);  // so that all have one length
  response r = answer(format::page_begin(nonce) + "null" + format::page_end(nonce),
                      "text/html; charset=utf-8");
  r.headers.emplace_back("Content-Security-Policy",
                         "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" +
                             nonce +
                             "'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                             "frame-ancestors 'none'");
  return r;
}

inline bool is_symbol(std::string_view name) {
  return name == "symbol" || (name.ends_with("/symbol") && lookup(name) == nullptr);
}

inline operation cpu(const asked& a) {
  return session<cpu_session, samplers::cpu_sampler>(a, cpu_options{}.hz, "profile");
}
inline operation wall(const asked& a) {
  return session<wall_session, samplers::wall_sampler>(a, wall_options{}.hz, "wall");
}
inline operation fgprof(const asked& a) {
  return session<wall_session, samplers::wall_sampler>(a, wall_options{}.hz, "fgprof");
}
inline operation trace(const asked&) {
  return failure(404, "There is no execution trace of a C++ program: see profile and wall");
}

struct route {
  std::string_view name;
  operation (*answer)(const asked&);
};
// Every other name is that of a profile, or its delta_.
inline constexpr route below_prefix[] = {
    {"", index},      {"cmdline", cmdline}, {"profile", cpu}, {"symbol", symbol},
    {"trace", trace}, {"ui", ui},           {"wall", wall},
};

inline operation answer_below_prefix(const asked& a) {
  for (const route& r : below_prefix) {
    if (r.name == a.name) return r.answer(a);
  }
  if (is_symbol(a.name)) return symbol(a);
  if (const profile* const p = of_delta(a.name)) return delta(a, *p);
  return named(a);
}

inline response redirect(const http::options& o, std::string_view query) {
  response r = answer("", "text/html; charset=utf-8");
  r.status = 301;
  std::string to = o.prefix;
  const bool is_sound =
      std::all_of(query.begin(), query.end(), [](char c) { return c > ' ' && c < 127; });
  if (!query.empty() && is_sound) format::append(to, "?", query);
  r.headers.emplace_back("Location", std::move(to));
  return r;
}

}  // namespace whence::inline v1::http::routes

#endif  // WHENCE_HTTP_ROUTES_HPP
