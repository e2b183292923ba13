// SPDX-License-Identifier: Apache-2.0
//
// A function's names in each style, made from the one name that is kept:
//
//   _ZN4shop6pricesIiEEvT_    the linker's: shop::prices, shop::prices<int>,
//                             void shop::prices<int>(int)
//   work.part.0               a C function's, or a clone of one: work
//   "operator()(int) "        from debug information alone, which g++ writes for
//                             inlined ones: that name and a blank
//
// The blank stops pprof from shortening the shown name: it does so if both names are equal.
#ifndef WHENCE_SYMBOLS_FUNCTION_NAME_HPP
#define WHENCE_SYMBOLS_FUNCTION_NAME_HPP

#include <string>
#include <string_view>

#include <whence/names.hpp>
#include <whence/symbols/demangle.hpp>
#include <whence/symbols/readable_names.hpp>
#include <whence/symbols/rust_name.hpp>
#include <whence/symbols/short_name.hpp>

namespace whence::inline v1::symbols {

// [module+0x47c1] and [unknown] are placeholders, and no function's name begins like them.
constexpr bool is_placeholder(std::string_view name) noexcept {
  return name.starts_with('[');
}

// Made from the name that the linker or debug information gives a function.
template <class = void>
inline std::string system_name_of(std::string_view known_as) {
  std::string name(known_as);
  if (!known_as.starts_with("_Z") && !is_placeholder(known_as) &&
      known_as.find_first_of("(<:[") != std::string_view::npos) {
    name += ' ';
  }
  return name;
}

template <class = void>
inline std::string name_of(std::string_view system_name, name_style style) {
  if (system_name.ends_with(' ')) system_name.remove_suffix(1);
  if (style == name_style::mangled || is_placeholder(system_name)) return std::string(system_name);
  if (std::string rust = rust_name(system_name); !rust.empty()) return rust;
  const std::string whole = demangle(system_name);
  if (style == name_style::full) return without_abi_noise(whole);
  return without_abi_noise(short_name(whole, style == name_style::templates
                                                 ? template_arguments::kept
                                                 : template_arguments::dropped));
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_FUNCTION_NAME_HPP
