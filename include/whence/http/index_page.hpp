// SPDX-License-Identifier: Apache-2.0
//
// The list of what is under /debug/pprof/, as a page like Go's or as JSON. Names and descriptions
// come from the program, so they are escaped.
#ifndef WHENCE_HTTP_INDEX_PAGE_HPP
#define WHENCE_HTTP_INDEX_PAGE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <whence/core/kinds.hpp>
#include <whence/format/json.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/format/top.hpp>
#include <whence/format/utf8.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/request.hpp>
#include <whence/instruments/settings_table.hpp>
#include <whence/profile.hpp>
#include <whence/snapshots/memory_comments.hpp>
#include <whence/snapshots/profile_header.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/current_settings.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/arena.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::http {

struct listed {
  std::string name;
  std::string description;
  std::int64_t count = 0;
  std::string state;       // at what rate it records
  bool is_window = false;  // it needs ?seconds=
  bool is_profile = true;

  // Figures of the table of stacks: this profile's stacks, their bytes, and the events for which
  // the table had no room, which the stack [overflow] counts. allocs and heap share their stacks.
  std::int64_t stacks = 0, bytes = 0, overflow = 0;
};

// Cost: reads a cache line of each stack: 0.1 s for a million.
inline void measure(const profile& p, listed& l) {
  p.rows().for_each([&l](const tables::bucket& b) {
    ++l.stacks;
    l.bytes += static_cast<std::int64_t>((tables::bucket::bytes(b.depth()) + sys::cache_line - 1) /
                                         sys::cache_line * sys::cache_line);
    if (b.overflow()) l.overflow += b.counters[0].load(std::memory_order_relaxed);
  });
}

inline std::string rate_of(const profile& p, const state::process_state& s) {
  const core::sampling_rate& its = core::info(p.kind()).rate;
  const std::int64_t rate = its.unit == nullptr ? 1 : state::value_of(s, its.setting);
  return rate <= 0   ? std::string("off")
         : rate == 1 ? std::string("all are recorded")
                     : "one sample in " + format::human(rate, its.unit);
}

// Sorted by name.
inline std::vector<listed> list_profiles(bool with_cmdline) {
  std::vector<listed> all;
  const state::process_state& s = state::attached();
  for (const profile* p : profiles()) {
    all.push_back({std::string(p->name()), std::string(p->description()),
                   static_cast<std::int64_t>(p->count()), rate_of(*p, s)});
    measure(*p, all.back());
  }
  if (with_cmdline) {
    all.push_back(
        {"cmdline", "The command line invocation of the current program", 0, "", false, false});
  }
  all.push_back(
      {"profile",
       "CPU profile. You can specify the duration in the seconds GET parameter. After you "
       "get the profile file, use the go tool pprof command to investigate the profile.",
       0, "while it is asked for", true});
  all.push_back(
      {"symbol",
       "Maps given program counters to function names. Counters can be specified in a GET "
       "raw query or POST body, multiple counters are separated by '+'.",
       0, "", false, false});
  all.push_back({"wall",
                 "Wall-clock profile of all threads, running or waiting. You can specify the "
                 "duration in the seconds GET parameter.",
                 0, "while it is asked for", true});
  sys::sort(all, [](const listed& a, const listed& b) { return a.name < b.name; });
  return all;
}

inline std::string html_escaped(std::string_view text) {
  std::string result;
  for (const char c : format::to_utf8(text)) {
    switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '"':
        result += "&#34;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// Encodes a path; slashes stay.
inline std::string percent_encoded(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == '/';
    const auto byte = static_cast<unsigned char>(c);
    if (plain) {
      result += c;
    } else {
      format::append(result, byte < 0x10 ? "%0" : "%", sys::to_hex(byte));
    }
  }
  return result;
}

inline std::string index_html(const options& o) {
  const std::vector<listed> all = list_profiles(o.cmdline);
  const std::string title = html_escaped(o.prefix);
  std::string text;
  format::append(
      text, "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>", title,
      "</title>\n<style>\n.profile-name{display:inline-block;width:8rem}\n"
      "td{padding-right:1rem}\n</style>\n</head>\n<body>\n",
      title,
      "\n<br>\n<p>Set debug=1 as a query parameter to export in legacy text format</p>\n"
      "<p><a href=\"ui\">flame graphs</a></p>\n<br>\nTypes of profiles available:\n<table>\n"
      "<thead><td>Count</td><td>Profile</td><td>Recorded</td><td>Stacks</td><td>Bytes</td>"
      "<td>On [overflow]</td></thead>\n");
  for (const listed& l : all) {
    const std::string_view query = l.is_window ? "?seconds=5" : l.is_profile ? "?debug=1" : "";
    format::append(text, "<tr><td>", l.count, "</td><td><a href='", percent_encoded(l.name), query,
                   "'>", html_escaped(l.name), "</a></td><td>", html_escaped(l.state));
    if (l.stacks > 0) {
      format::append(text, "</td><td>", l.stacks, "</td><td>", l.bytes, "</td><td>", l.overflow);
    }
    text += "</td></tr>\n";
  }
  text +=
      "</table>\n<a href=\"goroutine?debug=2\">full goroutine stack dump</a>\n<br>\n<p>\n"
      "Profile Descriptions:\n<ul>\n";
  for (const listed& l : all) {
    format::append(text, "<li><div class=profile-name>", html_escaped(l.name), ": </div> ",
                   html_escaped(l.description), "</li>\n");
  }
  format::append(text, "</ul>\n</p>\n<p>\nState:\n<ul>\n<li>", window_slot::open(), " of ",
                 o.max_windows, " windows are open</li>\n");
  const state::process_state& s = state::attached();
  format::append(text, "<li>", snapshots::memory_in_use(s.budget), "</li>\n");
  for (int i = 0; i < instruments::setting_count; ++i) {
    const instruments::setting_info& row = instruments::settings[i];
    format::append(text, "<li>", row.environment, "=",
                   state::value_of(s, static_cast<instruments::setting>(i)), ": ", row.meaning,
                   "</li>\n");
  }
  std::vector<std::string> lines = snapshots::comments(s);
  snapshots::add_memory_comments(lines, s);
  for (const std::string& line : lines) {
    if (line.starts_with("tables use ")) continue;
    format::append(text, "<li>", html_escaped(line), "</li>\n");
  }
  return text + "</ul>\n</p>\n</body>\n</html>\n";
}

inline std::string index_json(const options& o) {
  std::string text = "{\"profiles\":[";
  std::string_view comma;
  for (const listed& l : list_profiles(o.cmdline)) {
    if (!l.is_profile) continue;
    format::append(text, comma, "\n{\"name\":", format::json_string(l.name),
                   ",\"description\":", format::json_string(l.description), ",\"count\":", l.count,
                   ",\"recorded\":", format::json_string(l.state), ",\"stacks\":", l.stacks,
                   ",\"bytes\":", l.bytes, ",\"overflow\":", l.overflow,
                   ",\"window\":", l.is_window ? "true}" : "false}");
    comma = ",";
  }
  format::append(text, "],\n\"windows\":{\"open\":", window_slot::open(),
                 ",\"most\":", o.max_windows, "},\n\"settings\":{");
  const state::process_state& s = state::attached();
  comma = "";
  for (int i = 0; i < instruments::setting_count; ++i) {
    format::append(text, comma, "\n\"", instruments::settings[i].environment,
                   "\":", state::value_of(s, static_cast<instruments::setting>(i)));
    comma = ",";
  }
  return text + "}}\n";
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_INDEX_PAGE_HPP
