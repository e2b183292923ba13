// SPDX-License-Identifier: Apache-2.0
//
// The page that shows a flame graph, assembled from its parts (ui/page.hpp).
#ifndef WHENCE_FORMAT_FLAME_PAGE_HPP
#define WHENCE_FORMAT_FLAME_PAGE_HPP

#include <string>
#include <string_view>

#include <whence/format/text_parts.hpp>
#include <whence/ui/page.hpp>

namespace whence::inline v1::format {

// Between the two parts comes a profile as JSON, or null: the page then asks its own server.
// `nonce` belongs to a Content-Security-Policy.
template <class = void>
inline std::string page_begin(std::string_view nonce) {
  std::string text =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>whence</title>\n";
  append(text, "<style nonce=\"", nonce, "\">", ui::style, "</style>\n</head>\n<body>\n", ui::body,
         "<script type=\"application/json\" id=\"data\">");
  return text;
}

template <class = void>
inline std::string page_end(std::string_view nonce) {
  std::string text = "</script>\n<script nonce=\"";
  append(text, nonce, "\">", ui::script, "</script>\n</body>\n</html>\n");
  return text;
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_FLAME_PAGE_HPP
