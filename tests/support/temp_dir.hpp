// SPDX-License-Identifier: Apache-2.0
//
// A folder of its own for a test that writes files, builds programs or runs tools, removed at the
// test's end.
#ifndef WHENCE_TESTS_WORKSHOP_HPP
#define WHENCE_TESTS_WORKSHOP_HPP

#include <doctest/doctest.h>
#include <stdlib.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

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
    CAPTURE(command);
    std::FILE* const pipe =
        ::popen(("cd '" + folder_.string() + "' && { " + command + "; } 2>&1").c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string output;
    std::array<char, 4096> piece;
    while (const std::size_t n = std::fread(piece.data(), 1, piece.size(), pipe)) {
      output.append(piece.data(), n);
    }
    const int status = ::pclose(pipe);
    INFO(output);
    REQUIRE(status == 0);
    return output;
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

#endif  // WHENCE_TESTS_WORKSHOP_HPP
