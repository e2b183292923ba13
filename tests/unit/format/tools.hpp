// SPDX-License-Identifier: Apache-2.0
//
// Shared by the tests of format/: programs that read the written files, and invented code, so that
// every name and address is known.
#ifndef WHENCE_TESTS_FORMAT_TOOLS_HPP
#define WHENCE_TESTS_FORMAT_TOOLS_HPP

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include <whence/symbols/mappings.hpp>
#include <whence/symbols/symbolizer.hpp>

namespace tools {

using whence_tests::output_of;

inline std::string read(const std::filesystem::path& path) {
  return whence_tests::text_of(path);
}

inline void save(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// pprof's own schema, in Debian's golang-github-google-pprof-dev.
inline std::string decode(const std::filesystem::path& file, bool gzipped) {
  const std::string schema = "/usr/share/gocode/src/github.com/google/pprof/proto";
  REQUIRE(std::filesystem::exists(schema + "/profile.proto"));
  return output_of(std::string(gzipped ? "gzip -dc " : "cat ") + file.string() +
                   " | protoc --decode=perftools.profiles.Profile -I " + schema + " profile.proto");
}

inline std::size_t count(std::string_view text, std::string_view what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos;
       at = text.find(what, at + what.size())) {
    ++n;
  }
  return n;
}

inline bool contains(std::string_view text, std::string_view what) {
  return whence_tests::has(text, what);
}

// Code by table. An address outside of it is unknown.
struct code {
  struct entry {
    std::vector<whence::symbols::frame> frames;
    std::uintptr_t start;
  };
  std::map<std::uintptr_t, entry> entries;
  whence::sys::vector<whence::symbols::mapping> mapped;
  bool is_stripped = false;

  const whence::symbols::location& resolve(std::uintptr_t pc) {
    static const whence::symbols::frame nothing{"[app+0x7]", "[app+0x7]", "", 0};
    static const whence::symbols::location nowhere{{&nothing, 1}, 0};
    static const whence::symbols::location stripped{{&nothing, 1}, 0, true};
    const auto found = entries.find(pc);
    if (found == entries.end()) return is_stripped ? stripped : nowhere;
    location = {found->second.frames, found->second.start, is_stripped};
    return location;
  }
  whence::sys::vector<whence::symbols::mapping> mappings() const { return mapped; }

  whence::symbols::location location;
};

}  // namespace tools

#endif  // WHENCE_TESTS_FORMAT_TOOLS_HPP
