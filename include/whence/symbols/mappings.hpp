// SPDX-License-Identifier: Apache-2.0
//
// The executable mappings of the process, as a profile lists them: /proc/self/maps, by Go's rules
// (src/runtime/pprof/proto.go, parseProcSelfMaps): anonymous ones are left out, [vdso] is not, and
// " (deleted)" is no part of a name.
//
//   55d0c0a01000-55d0c0a05000 r-xp 00001000 fe:00 1835 /usr/bin/prog
#ifndef WHENCE_SYMBOLS_MAPPINGS_HPP
#define WHENCE_SYMBOLS_MAPPINGS_HPP

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <whence/symbols/modules.hpp>
#include <whence/sys/digits.hpp>
#include <whence/sys/safe_read.hpp>

namespace whence::inline v1::symbols {

struct mapping {
  std::uintptr_t start;
  std::uintptr_t limit;
  std::uint64_t offset;  // in the file
  std::string filename;
  std::string build_id;  // hex; empty where none
};

inline std::string read_proc_file(const char* path) {
  std::string text;
  const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return text;
  std::array<char, 16384> piece;
  for (;;) {
    const ssize_t n = ::read(descriptor, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(n));
  }
  ::close(descriptor);
  return text;
}

// What comes before `stop`, which is taken off `line` too.
inline std::string_view take_until(std::string_view& line, char stop) {
  const std::size_t at = line.find(stop);
  const std::string_view token = line.substr(0, at);
  line.remove_prefix(at == std::string_view::npos ? line.size() : at + 1);
  return token;
}

inline std::vector<mapping> parse_maps(std::string_view text) {
  std::vector<mapping> result;
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    mapping m{};
    m.start = sys::parse(take_until(line, '-'), 16);
    m.limit = sys::parse(take_until(line, ' '), 16);
    const bool executable = take_until(line, ' ').find('x') != std::string_view::npos;
    m.offset = sys::parse(take_until(line, ' '), 16);
    take_until(line, ' ');  // device
    take_until(line, ' ');  // inode
    line.remove_prefix(line.find_first_not_of(' ') == std::string_view::npos
                           ? line.size()
                           : line.find_first_not_of(' '));
    constexpr std::string_view deleted = " (deleted)";
    if (line.ends_with(deleted)) line.remove_suffix(deleted.size());
    if (!executable || line.empty()) continue;
    m.filename = line;
    result.push_back(m);
  }
  return result;
}

// Of a module that stacks have gone through: what the kernel says, or said, of its code.
inline mapping mapping_of(const unwind::plugin_record& record) {
  constexpr std::uintptr_t in_page = sys::page_bytes - 1;
  const loaded_module m = module_of(record);
  const std::uintptr_t start = m.code[0].start & ~in_page;
  return {start, (m.code[0].limit + in_page) & ~in_page,
          record.it.code_offset - (m.code[0].start - start), m.path.empty() ? "[unknown]" : m.path,
          m.build_id};
}

inline std::vector<mapping> mapped_code() {
  return parse_maps(read_proc_file("/proc/thread-self/maps"));
}

// dlopen("./plugin.so") leaves the loader with that name, which says nothing once the program has
// changed its folder; the kernel knows the file's full one.
inline void complete_paths(std::vector<loaded_module>& modules) {
  std::vector<mapping> mapped;
  for (loaded_module& m : modules) {
    if (m.path.starts_with('/') || m.path.starts_with('[') || m.code.empty()) continue;
    if (mapped.empty()) mapped = mapped_code();
    for (const mapping& c : mapped) {
      if (c.start <= m.code[0].start && m.code[0].start < c.limit) m.path = c.filename;
    }
  }
}

// In the order of /proc/self/maps.
inline std::vector<mapping> read_mappings() {
  std::vector<mapping> result = mapped_code();
  const std::vector<loaded_module> modules = loaded_modules();
  for (mapping& m : result) {
    for (const loaded_module& module : modules) {
      for (const code_range& code : module.code) {
        if (code.start < m.limit && m.start < code.limit) m.build_id = module.build_id;
      }
    }
  }
  return result;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MAPPINGS_HPP
