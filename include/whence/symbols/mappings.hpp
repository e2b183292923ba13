// SPDX-License-Identifier: Apache-2.0
//
// The executable mappings of the process: /proc/self/maps. A profile lists those of files, by Go's
// rules (src/runtime/pprof/proto.go, parseProcSelfMaps): anonymous ones are left out, [vdso] is
// listed, and " (deleted)" is not part of a name.
//
//   55d0c0a01000-55d0c0a05000 r-xp 00001000 fe:00 1835 /usr/bin/prog
#ifndef WHENCE_SYMBOLS_MAPPINGS_HPP
#define WHENCE_SYMBOLS_MAPPINGS_HPP

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <whence/symbols/descriptor.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/digits.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

struct mapping {
  std::uintptr_t start;
  std::uintptr_t limit;
  std::uint64_t offset;  // in the file
  std::string filename;  // empty if it has no file
  std::string build_id;  // hex; empty if it has none
  file_identity file{};
  bool is_optional = false;  // listed only if an address of the profile lies in it
};

// The text before `stop`, which is removed from `line` with it.
template <class = void>
inline std::string_view take_until(std::string_view& line, char stop) {
  const std::size_t at = line.find(stop);
  const std::string_view token = line.substr(0, at);
  line.remove_prefix(at == std::string_view::npos ? line.size() : at + 1);
  return token;
}

// The same as stat's: makedev(), whose header defines macros `major` and `minor` in every program.
constexpr std::uint64_t device_number(std::uint64_t major, std::uint64_t minor) noexcept {
  return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~std::uint64_t{0xff}) << 12 |
         (major & ~std::uint64_t{0xfff}) << 32;
}

// All executable mappings, anonymous ones too; with `data` all others as well.
template <class = void>
inline sys::vector<mapping> parse_code(std::string_view text, bool data = false) {
  sys::vector<mapping> result;
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    mapping m{};
    m.start = sys::parse(take_until(line, '-'), 16);
    m.limit = sys::parse(take_until(line, ' '), 16);
    const bool executable = take_until(line, ' ').find('x') != std::string_view::npos;
    if (!executable && !data) continue;
    m.offset = sys::parse(take_until(line, ' '), 16);
    const std::uint64_t major = sys::parse(take_until(line, ':'), 16);
    const std::uint64_t minor = sys::parse(take_until(line, ' '), 16);
    m.file.device = device_number(major, minor);
    m.file.inode = sys::parse(take_until(line, ' '), 10);
    line.remove_prefix(sys::least(line.find_first_not_of(' '), line.size()));
    constexpr std::string_view deleted = " (deleted)";
    if (line.ends_with(deleted)) line.remove_suffix(deleted.size());
    m.filename = line;
    result.push_back(m);
  }
  return result;
}

template <class = void>
inline sys::vector<mapping> parse_maps(std::string_view text) {
  sys::vector<mapping> result = parse_code(text);
  sys::erase_if(result, [](const mapping& m) { return m.filename.empty(); });
  return result;
}

// The code that is mapped now, in the order of addresses; incomplete without /proc or a descriptor:
// then `error` is the system's reason, otherwise 0. `data`: as in parse_code.
template <class = void>
inline sys::vector<mapping> mapped_code(bool data, int& error) {
  const descriptor maps("/proc/thread-self/maps");
  error = maps.error();
  sys::mapped_array<char> text;
  constexpr std::size_t piece = std::size_t{1} << 16;
  while (maps.get() >= 0) {
    const std::size_t had = text.size();
    text.resize(had + piece);
    const ssize_t n = ::read(maps.get(), text.data() + had, piece);
    text.resize(had + static_cast<std::size_t>(n > 0 ? n : 0));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) error = errno;
    if (n <= 0) break;
  }
  return parse_code({text.data(), text.size()}, data);
}
template <class = void>
inline sys::vector<mapping> mapped_code() {
  int error = 0;
  return mapped_code(false, error);
}

// nullptr if no mapping holds the address. `code` as from mapped_code().
template <class = void>
inline const mapping* find_mapping(const sys::vector<mapping>& code, std::uintptr_t address) {
  const std::size_t after =
      sys::first_after(code, [address](const mapping& m) { return address < m.start; });
  return after > 0 && address < code[after - 1].limit ? &code[after - 1] : nullptr;
}

// The mapping of a module that stacks have gone through: the kernel's present or former answer
// about its code, at the place where stacks have it.
template <class = void>
inline mapping mapping_of(const unwind::unloadable_record& record) {
  constexpr std::uintptr_t in_page = sys::page_bytes - 1;
  const loaded_module m = module_of(record);
  const std::uintptr_t start = m.code[0].start & ~in_page;
  return {start,
          (m.code[0].limit + in_page) & ~in_page,
          record.it.code_offset - (m.code[0].start - start),
          m.path.empty() ? "[unknown]" : m.path,
          m.build_id,
          {},
          true};
}

// Finds each module's file: the kernel knows full paths, but for dlopen("./plugin.so") the loader
// has a name that is useless after the program has changed its folder; the kernel also knows the
// program's file, in whatever way it was started.
template <class = void>
inline void identify_files(sys::vector<loaded_module>& modules, const sys::vector<mapping>& code) {
  for (loaded_module& m : modules) {
    if (m.path == "[vdso]" || m.code.empty()) continue;
    const mapping* const mapped = find_mapping(code, m.code[0].start);
    if (mapped == nullptr || mapped->filename.empty()) continue;
    m.file = mapped->file;
    if (m.is_program || !m.path.starts_with('/')) m.path = mapped->filename;
  }
}

// The mappings of files, with the build-ids of their modules.
template <class = void>
inline sys::vector<mapping> listed_mappings(const sys::vector<mapping>& code,
                                            const sys::vector<loaded_module>& modules) {
  sys::vector<mapping> result;
  sys::vector<mapping> others;
  for (const mapping& c : code) {
    if (c.filename.empty()) continue;
    mapping m = c;
    bool is_program = false;
    for (const loaded_module& module : modules) {
      for (const code_range& range : module.code) {
        if (range.start >= m.limit || m.start >= range.limit) continue;
        m.build_id = module.build_id;
        is_program = module.is_program;
      }
    }
    // Readers take the first one for the program.
    (is_program ? result : others).push_back(std::move(m));
  }
  for (mapping& m : others) result.push_back(std::move(m));
  return result;
}

template <class = void>
inline sys::vector<mapping> read_mappings() {
  return listed_mappings(mapped_code(), loaded_modules());
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MAPPINGS_HPP
