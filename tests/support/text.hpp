// SPDX-License-Identifier: Apache-2.0
//
// Texts that tests look at: a file's, a shell command's, and what is in them.
#ifndef WHENCE_TESTS_TEXT_HPP
#define WHENCE_TESTS_TEXT_HPP

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace whence_tests {

inline bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

inline std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The output of a shell command, errors included. It has to succeed.
inline std::string output_of(const std::string& command) {
  std::FILE* const pipe = ::popen(("{ " + command + "; } 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char part[4096];
  while (const std::size_t n = std::fread(part, 1, sizeof part, pipe)) text.append(part, n);
  const int status = ::pclose(pipe);
  INFO(command);
  INFO(text);
  REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  return text;
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_TEXT_HPP
