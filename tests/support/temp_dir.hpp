// SPDX-License-Identifier: Apache-2.0
//
// A folder of its own for a test that writes files, builds programs or runs tools, removed at the
// test's end.
#ifndef WHENCE_TESTS_TEMP_DIR_HPP
#define WHENCE_TESTS_TEMP_DIR_HPP

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "text.hpp"

namespace whence_tests {

class temp_dir {
 public:
  temp_dir() {
    std::string name = (std::filesystem::temp_directory_path() / "whence-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~temp_dir() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  temp_dir(const temp_dir&) = delete;
  temp_dir& operator=(const temp_dir&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(folder_), {});
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }

  // Runs a shell command in the folder and returns its output. A failed command fails the test.
  std::string run(const std::string& command) const {
    return output_of("cd '" + folder_.string() + "' && { " + command + "; }");
  }

  // The compiler that built the tests.
  static std::string compiler() {
    const char* const named = std::getenv("CXX");
    return named != nullptr ? named : "c++";
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace whence_tests

#endif  // WHENCE_TESTS_TEMP_DIR_HPP
