// SPDX-License-Identifier: Apache-2.0
//
// Turns a mangled name into the one in the source. It leaves out compilers' suffixes for parts and
// clones of functions (f.cold, f.part.0, f.constprop.0): the source is the same, and the rare paths
// that take locks and memory are nearly all in some f.cold.
#ifndef WHENCE_SYMBOLS_DEMANGLE_HPP
#define WHENCE_SYMBOLS_DEMANGLE_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

#include <whence/symbols/mangled_size.hpp>

// The same declaration as in <cxxabi.h>, without the rest. (Itanium C++ ABI, 3.4 Demangler API)
namespace __cxxabiv1 {
extern "C" char* __cxa_demangle(const char* mangled, char* buffer, std::size_t* length,
                                int* status);
}

namespace whence::inline v1::symbols {

// g++ puts the body of a coroutine f into another function, which only its argument's type reveals:
// "_Z1fPZ1fiE9_Z1fi.Frame.actor". Returns the mangled name of f; empty for other functions.
template <class = void>
inline std::string_view coroutine_in(std::string_view mangled) {
  const std::size_t end = mangled.find(".Frame");
  if (end == std::string_view::npos) return {};
  // "9_Z1fi.Frame": the type's name is preceded by its length.
  for (std::size_t at = mangled.find("_Z", 1); at < end; at = mangled.find("_Z", at + 1)) {
    std::size_t length = 0;
    std::size_t unit = 1;
    for (std::size_t i = at; i > 0 && mangled[i - 1] >= '0' && mangled[i - 1] <= '9'; --i) {
      length += unit * static_cast<std::size_t>(mangled[i - 1] - '0');
      unit *= 10;
      if (length == end + std::strlen(".Frame") - at) return mangled.substr(at, end - at);
    }
  }
  return {};
}

// A C function's name without compilers' marks: "work" for "work.isra.0.cold". A dot alone is not a
// mark, since other languages have dots in their names.
template <class = void>
inline std::string_view without_clone(std::string_view name) noexcept {
  for (std::size_t at = name.find('.', 1); at != std::string_view::npos;
       at = name.find('.', at + 1)) {
    const std::string_view rest = name.substr(at);
    for (const std::string_view whole : {".cold", ".localalias"}) {
      if (rest == whole || (rest.starts_with(whole) && rest[whole.size()] == '.')) {
        return name.substr(0, at);
      }
    }
    for (const std::string_view numbered :
         {".part.", ".constprop.", ".isra.", ".llvm.", ".lto_priv.", ".clone."}) {
      if (rest.starts_with(numbered) && rest.size() > numbered.size() &&
          rest[numbered.size()] >= '0' && rest[numbered.size()] <= '9') {
        return name.substr(0, at);
      }
    }
  }
  return name;
}

// __cxa_demangle allocates the text of a name, whatever its length.
inline constexpr std::uint64_t longest_demangled = std::uint64_t{1} << 20;

// Names that are not mangled are returned unchanged, and so are names of Rust (_R), D and Swift:
// pprof shortens Rust's itself, from the linker's form only. So are names that may be longer than
// longest_demangled.
template <class = void>
inline std::string demangle(std::string_view mangled) {
  if (const std::string_view coroutine = coroutine_in(mangled); !coroutine.empty()) {
    return demangle(coroutine);
  }
  if (mangled.starts_with("_R")) return std::string(mangled);
  if (!mangled.starts_with("_Z")) return std::string(without_clone(mangled));
  const std::string base(mangled.substr(0, mangled.find('.')));
  if (!mangled_size(base).is_at_most(longest_demangled)) return std::string(mangled);
  int status = 0;
  char* const plain = __cxxabiv1::__cxa_demangle(base.c_str(), nullptr, nullptr, &status);
  if (plain == nullptr) return std::string(mangled);
  std::string name(plain);
  std::free(plain);
  return name;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DEMANGLE_HPP
