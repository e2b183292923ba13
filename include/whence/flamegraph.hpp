// SPDX-License-Identifier: Apache-2.0
//
// A profile as one HTML file that shows its flame graph in any browser, without a network:
//
//   if (auto error = whence::write_flamegraph("heap.html", whence::lookup("heap")->snapshot())) ...
//
// Click or Enter zooms in, Escape out; / searches. The page is also what /debug/pprof/ui serves.
// Not in whence.hpp, because of its size. Thread-safe; not for signal handlers.
#ifndef WHENCE_FLAMEGRAPH_HPP
#define WHENCE_FLAMEGRAPH_HPP

#include <whence/config.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <whence/format/json.hpp>
#include <whence/format/page/body.hpp>
#include <whence/format/page/controls.hpp>
#include <whence/format/page/graph.hpp>
#include <whence/format/page/moving.hpp>
#include <whence/format/page/style.hpp>
#include <whence/format/page/table.hpp>
#include <whence/format/sink.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/sys/as_error.hpp>

namespace whence::inline v1 {

namespace format {

// What is for readers of the sources alone is not sent: indents, and lines that are a comment.
inline std::string without_comments(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (!line.empty() && !line.starts_with("//")) append(result, line, "\n");
  }
  return result;
}

// Between the two comes a profile as JSON, or null: the page then asks the server it came from.
// `nonce`: of a Content-Security-Policy.
inline std::string page_begin(std::string_view nonce) {
  std::string text =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>whence</title>\n";
  append(text, "<style nonce=\"", nonce, "\">", without_comments(page::style),
         "</style>\n</head>\n<body>\n", page::body,
         "<script type=\"application/json\" id=\"data\">");
  return text;
}

inline std::string page_end(std::string_view nonce) {
  std::string text = "</script>\n<script nonce=\"";
  append(text, nonce, "\">");
  for (const char* const part : {page::graph, page::moving, page::table, page::controls}) {
    text += without_comments(part);
  }
  return text + "</script>\n</body>\n</html>\n";
}

}  // namespace format

// Writes the snapshot with the page that shows it. The write's error is returned.
[[nodiscard]] inline std::error_code write_flamegraph(sink out, const profile_snapshot& snapshot) {
  return sys::as_error([&] {
    const std::string begin = format::page_begin(""), end = format::page_end("");
    if (const std::error_code error = out.write(std::as_bytes(std::span(begin)))) return error;
    if (const std::error_code error = format::json_writer().write(out, snapshot)) return error;
    if (const std::error_code error = out.write(std::as_bytes(std::span(end)))) return error;
    return out.finish();
  });
}

}  // namespace whence::inline v1

#endif  // WHENCE_FLAMEGRAPH_HPP
