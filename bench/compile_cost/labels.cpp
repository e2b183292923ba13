// SPDX-License-Identifier: Apache-2.0
//
// A file that records; its twin is labels_std.cpp.
#include <string_view>

#include <whence/labels.hpp>

void handle(std::string_view path, void (*work)(std::string_view)) {
  const whence::scoped_labels scope{{"path", path}};
  work(path);
}
