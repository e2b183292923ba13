// SPDX-License-Identifier: Apache-2.0
//
// The twin of labels.cpp, which records nothing.
#include <string_view>

void handle(std::string_view path, void (*work)(std::string_view)) {
  work(path);
}
