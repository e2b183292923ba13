// SPDX-License-Identifier: Apache-2.0
//
// From a mangled name to the one in the source. What GCC appends to a clone of a function
// (f.cold, f.part.0, f.constprop.0) is kept as c++filt shows it: "f() [clone .cold]".
#ifndef WHENCE_SYMBOLS_DEMANGLE_HPP
#define WHENCE_SYMBOLS_DEMANGLE_HPP

#include <cxxabi.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

#include <whence/sys/sequence.hpp>

namespace whence::inline v1::symbols {

// The name itself where it is not mangled.
inline std::string demangle(std::string_view mangled) {
  if (!mangled.starts_with("_Z")) return std::string(mangled);
  const std::size_t clone = sys::least(mangled.find('.'), mangled.size());
  const std::string base(mangled.substr(0, clone));
  int status = 0;
  char* const plain = abi::__cxa_demangle(base.c_str(), nullptr, nullptr, &status);
  if (plain == nullptr) return std::string(mangled);
  std::string name(plain);
  std::free(plain);
  if (clone < mangled.size()) name += " [clone " + std::string(mangled.substr(clone)) + "]";
  return name;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DEMANGLE_HPP
