// SPDX-License-Identifier: Apache-2.0
//
// The page that shows a flame graph, put together of its parts (format/page/).
#ifndef WHENCE_FORMAT_FLAME_PAGE_HPP
#define WHENCE_FORMAT_FLAME_PAGE_HPP

#include <algorithm>
#include <string>
#include <string_view>

#include <whence/format/page/body.hpp>
#include <whence/format/page/controls.hpp>
#include <whence/format/page/graph.hpp>
#include <whence/format/page/moving.hpp>
#include <whence/format/page/style.hpp>
#include <whence/format/page/table.hpp>
#include <whence/format/text_parts.hpp>

namespace whence::inline v1::format {

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

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_FLAME_PAGE_HPP
