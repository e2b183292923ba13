// SPDX-License-Identifier: Apache-2.0
//
// From a mangled name to the one in the source. What compilers append to the name of a part or a
// clone of a function (f.cold, f.part.0, f.constprop.0) is left out: it is the same source, and the
// rare paths that take locks and memory are nearly all in some f.cold.
#ifndef WHENCE_SYMBOLS_DEMANGLE_HPP
#define WHENCE_SYMBOLS_DEMANGLE_HPP

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

// As <cxxabi.h> declares it, without the rest. (Itanium C++ ABI, 3.4 Demangler API)
namespace __cxxabiv1 {
extern "C" char* __cxa_demangle(const char* mangled, char* buffer, std::size_t* length,
                                int* status);
}

namespace whence::inline v1::symbols {

// g++ runs the body of a coroutine f in another function, of which only the type of the argument
// tells: "_Z1fPZ1fiE9_Z1fi.Frame.actor". The mangled name of f; empty: it is no such function.
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

// A C function's name without the marks of compilers: "work" of "work.isra.0.cold". A dot alone is
// none, since other languages have them in their names.
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

// The name itself where it is not mangled. Those of Rust (_R), D and Swift are left to who shows
// them, whole: pprof knows Rust's, and only as the linker has them.
inline std::string demangle(std::string_view mangled) {
  if (const std::string_view coroutine = coroutine_in(mangled); !coroutine.empty()) {
    return demangle(coroutine);
  }
  if (mangled.starts_with("_R")) return std::string(mangled);
  if (!mangled.starts_with("_Z")) return std::string(without_clone(mangled));
  const std::string base(mangled.substr(0, mangled.find('.')));
  int status = 0;
  char* const plain = __cxxabiv1::__cxa_demangle(base.c_str(), nullptr, nullptr, &status);
  if (plain == nullptr) return std::string(mangled);
  std::string name(plain);
  std::free(plain);
  return name;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DEMANGLE_HPP
