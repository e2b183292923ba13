// SPDX-License-Identifier: Apache-2.0
//
// Names of generated code, as JIT compilers write them for perf (node --perf-basic-prof, Java's
// perf-map-agent, Python, LuaJIT):
//
//   /tmp/perf-PID.map:    7f6c1a0b4000 1c0 LazyCompile:*render /srv/app.js:12      address, size,
//   name
//
// Every user may put a file there: so it has to be a regular one, and owned by this user. The later
// of two lines for one address counts, since code is replaced.
#ifndef WHENCE_SYMBOLS_PERF_MAP_HPP
#define WHENCE_SYMBOLS_PERF_MAP_HPP

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/mappings.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/digits.hpp>
#include <whence/sys/mapped_array.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_perf_map {
 public:
  basic_perf_map() : basic_perf_map("/tmp/perf-" + std::to_string(::getpid()) + ".map") {}

  explicit basic_perf_map(const std::string& path) : file_(path.c_str()) {
    if (file_.status().st_uid != ::geteuid()) return;
    read();
    sys::sort(functions_, [](const function& a, const function& b) { return a.start < b.start; });
  }

  // Empty if no line has the address.
  std::string find(std::uintptr_t address) const {
    std::size_t at =
        sys::first_after(functions_, [address](const function& f) { return address < f.start; });
    // Replaced code may lie in between, but not much of it.
    for (int looked = 0; at > 0 && looked < 64; ++looked) {
      const function& f = functions_[--at];
      if (address - f.start >= f.bytes) continue;
      std::string text(f.line_bytes, '\0');
      if (!file_.read(f.line, std::as_writable_bytes(std::span(text)))) return {};
      // The file may have been rewritten meanwhile.
      const line now(text);
      const bool same = now.start == f.start && now.bytes == f.bytes;
      return same ? std::string(now.name.substr(0, now.name.find('\n'))) : std::string{};
    }
    return {};
  }

  // errno if a map exists and could not be read, or 0.
  int error() const noexcept {
    const int error = file_.error();
    return error == ENOENT || error == EACCES ? 0 : error;
  }

 private:
  static constexpr std::uint64_t most_bytes = std::uint64_t{256} << 20;
  static constexpr std::size_t longest_line = 4096;

  struct function {
    std::uint64_t start, bytes, line;  // `line`: where it is in the file
    std::uint32_t line_bytes;
  };

  struct line {
    explicit line(std::string_view text) {
      start = sys::parse(take_until(text, ' '), 16);
      bytes = sys::parse(take_until(text, ' '), 16);
      name = text;
    }
    std::uint64_t start, bytes;
    std::string_view name;
  };

  void read() {
    constexpr std::size_t piece = std::size_t{1} << 16;
    sys::mapped_array<char> text;
    text.resize(piece);
    const std::uint64_t size = sys::least(file_.size(), most_bytes);
    for (std::uint64_t at = 0; at < size;) {
      const auto n = static_cast<std::size_t>(sys::least<std::uint64_t>(piece, size - at));
      if (!file_.read(at, std::as_writable_bytes(std::span(text.data(), n)))) return;
      // If a line goes on beyond the piece, its beginning is read again, unless it is endless.
      std::string_view lines(text.data(), n);
      const std::size_t end = lines.rfind('\n');
      if (end != lines.npos && n == piece) lines = lines.substr(0, end + 1);
      const std::size_t taken = lines.size();
      while (!lines.empty()) {
        const auto from = static_cast<std::uint64_t>(lines.data() - text.data());
        add(take_until(lines, '\n'), at + from);
      }
      at += taken;
    }
  }

  void add(std::string_view text, std::uint64_t at) {
    text = text.substr(0, longest_line);
    const line it(text);
    if (it.start == 0 || it.bytes == 0 || it.name.empty()) return;
    functions_.push_back({it.start, it.bytes, at, static_cast<std::uint32_t>(text.size())});
  }

  file_source file_;
  sys::mapped_array<function> functions_;
};
using perf_map = basic_perf_map<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_PERF_MAP_HPP
