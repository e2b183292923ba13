// SPDX-License-Identifier: Apache-2.0
//
// Finds the file with a module's stripped parts: by its build-id, then by the name in its
// .gnu_debuglink section, in gdb's folders, and among the files that debuginfod fetched earlier. It
// never uses the network.
//
//   /usr/lib/debug/.build-id/ab/cdef....debug
//   <folder>/<link>    <folder>/.debug/<link>    /usr/lib/debug/<folder>/<link>
//   $DEBUGINFOD_CACHE_PATH or $XDG_CACHE_HOME/debuginfod_client or ~/.cache/debuginfod_client:
//       abcdef.../debuginfo
//
// A file is the right one if it has the module's build-id or, for a module without one, the
// checksum beside the name.
#ifndef WHENCE_SYMBOLS_DEBUG_FILE_HPP
#define WHENCE_SYMBOLS_DEBUG_FILE_HPP

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/sys/owner.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

// CRC-32 of IEEE 802.3, reflected, as .gnu_debuglink uses it.
template <class = void>
inline std::uint32_t crc32(std::uint32_t crc, std::span<const std::byte> bytes) noexcept {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1U) != 0 ? 0xedb88320U : 0U);
      t[i] = c;
    }
    return t;
  }();
  crc = ~crc;
  for (const std::byte b : bytes) {
    crc = table[(crc ^ std::to_integer<std::uint32_t>(b)) & 0xffU] ^ (crc >> 8);
  }
  return ~crc;
}

template <class = void>
inline bool has_checksum(const byte_source& file, std::uint32_t expected) {
  std::uint32_t crc = 0;
  sys::vector<std::byte> piece(std::size_t{1} << 16);
  for (std::uint64_t at = 0; at < file.size(); at += piece.size()) {
    const std::uint64_t left = file.size() - at;
    if (left < piece.size()) piece.resize(left);
    if (!file.read(at, piece)) return false;
    crc = crc32(crc, piece);
  }
  return crc == expected;
}

// Empty if no cache exists, or the program runs with another user's rights.
template <class = void>
inline std::string debuginfod_cache() {
  if (const char* const path = ::secure_getenv("DEBUGINFOD_CACHE_PATH")) return path;
  if (const char* const path = ::secure_getenv("XDG_CACHE_HOME")) {
    return std::string(path) + "/debuginfod_client";
  }
  if (const char* const path = ::secure_getenv("HOME")) {
    return std::string(path) + "/.cache/debuginfod_client";
  }
  return {};
}

struct found_debug_file {
  sys::owner<file_source> file;  // nullptr if no file was found
  int error = 0;                 // errno, if a file could not be read for a temporary reason
};

// True if a later attempt may succeed. (EIO: a server of files that does not answer.)
constexpr bool may_pass(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR ||
         error == EAGAIN || error == EIO;
}

// The file with what was stripped from the module at `path`, or with a copy of it.
template <class = void>
inline found_debug_file find_debug_file(const std::string& path, const byte_source& module,
                                        const elf& header) {
  found_debug_file found;
  const std::string& id = header.build_id();
  const auto take = [&](const std::string& candidate, auto is_right) {
    auto file = sys::make_owned<file_source>(candidate.c_str());
    const bool right = file->size() != 0 && is_right(*file);
    if (may_pass(file->error())) found.error = file->error();
    if (right) found.file = std::move(file);
    return right;
  };
  const auto has_id = [&id](const file_source& file) { return elf(file).build_id() == id; };
  if (id.size() > 2 &&
      take("/usr/lib/debug/.build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug", has_id)) {
    return found;
  }
  if (const elf::section* const link = header.find(".gnu_debuglink")) {
    // | name, zero, padded to 4 | CRC, 4 |
    const sys::vector<std::byte> content = elf::content(module, *link);
    const std::string name(elf::text_at(content, 0));
    const std::size_t at = (name.size() + 1 + 3) / 4 * 4;
    if (!name.empty() && name.find('/') == std::string::npos && content.size() >= at + 4) {
      std::uint32_t checksum = 0;
      std::memcpy(&checksum, content.data() + at, sizeof checksum);
      const std::string folder = path.substr(0, path.rfind('/') + 1);
      const auto joined = [&folder, &name](const char* before, const char* between) {
        return std::string(before).append(folder).append(between).append(name);
      };
      for (const std::string& candidate :
           {joined("", ""), joined("", ".debug/"), joined("/usr/lib/debug", "")}) {
        if (candidate == path) continue;
        const auto is_right = [&](const file_source& file) {
          return id.empty() ? has_checksum(file, checksum) : has_id(file);
        };
        if (take(candidate, is_right)) return found;
      }
    }
  }
  if (const std::string cache = debuginfod_cache(); !cache.empty() && id.size() > 2) {
    take(cache + "/" + id + "/debuginfo", has_id);
  }
  return found;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DEBUG_FILE_HPP
