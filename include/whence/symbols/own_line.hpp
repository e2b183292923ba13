// SPDX-License-Identifier: Apache-2.0
//
// Tells which frames belong to a library, in the search for a program's own line: by their names
// or, since an inlined function's name lacks its namespace if there is little debug information
// (-g1), by their files.
#ifndef WHENCE_SYMBOLS_OWN_LINE_HPP
#define WHENCE_SYMBOLS_OWN_LINE_HPP

#include <cstddef>
#include <initializer_list>
#include <string_view>

#include <whence/symbols/symbolizer.hpp>

namespace whence::inline v1::symbols {

// The place of this library's headers: their folder, or the single header.
constexpr std::string_view own_headers() noexcept {
  std::string_view path = __FILE__;
  constexpr std::string_view here = "symbols/own_line.hpp";
  if (path.ends_with(here)) path.remove_suffix(here.size());
  return path;
}

// True for files of the folder `headers`, or that one file: at the beginning of the path or of a
// part of it. A folder of one part (by -ffile-prefix-map) only counts at the beginning.
constexpr bool is_below(std::string_view file, std::string_view headers) noexcept {
  const std::size_t at = file.find(headers);
  if (at == file.npos || headers.empty()) return false;
  if (headers.back() != '/' && at + headers.size() != file.size()) return false;
  if (at == 0) return true;
  const bool is_one_folder = headers.find('/') == headers.size() - 1;
  return !is_one_folder && (headers.front() == '/' || file[at - 1] == '/');
}

// A header that a program's own files compile even if the library was compiled elsewhere
// (whence::compiled): its folder then has another name there.
constexpr bool is_recording_header(std::string_view file) noexcept {
  constexpr std::string_view folder = "whence/";
  const std::size_t at = file.rfind(folder);
  if (at == file.npos || (at > 0 && file[at - 1] != '/')) return false;
  file.remove_prefix(at + folder.size());
  if (file.starts_with("instruments/") || file.starts_with("sys/")) return true;
  for (const std::string_view page :
       {"allocator.hpp", "memory_resource.hpp", "tracked.hpp", "mutex.hpp",
        "condition_variable.hpp", "sync.hpp", "thread.hpp", "labels.hpp", "coroutine.hpp",
        "registry.hpp", "knobs.hpp", "pthread.hpp"}) {
    if (file == page) return true;
  }
  return false;
}

template <class = void>
inline bool is_own(const frame& f) noexcept {
  return f.name.starts_with("whence::") || is_below(f.file, own_headers()) ||
         is_recording_header(f.file);
}

template <class = void>
inline bool is_standard_library(const frame& f) noexcept {
  return f.name.starts_with("std::") || f.name.starts_with("[libstdc++") ||
         f.file.find("/include/c++/") != f.file.npos;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_OWN_LINE_HPP
