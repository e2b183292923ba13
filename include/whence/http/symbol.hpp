// SPDX-License-Identifier: Apache-2.0
//
// Answers /debug/pprof/symbol: names for addresses, for profiles without names.
//
//   0x401010+0x401210   ->   num_symbols: 1
//                            0x401010 _ZN4shop5priceEv
//
// The names are the linker's: pprof takes them for both of its names and shortens one itself. (Go:
// net/http/pprof.Symbol. The 1 tells the client only that symbols exist.)
#ifndef WHENCE_HTTP_SYMBOL_HPP
#define WHENCE_HTTP_SYMBOL_HPP

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/format/process_code.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/profile/pseudo_frames.hpp>
#include <whence/symbols/function_name.hpp>
#include <whence/symbols/symbolizer.hpp>

namespace whence::inline v1::http {

// Parses like strconv.ParseUint with base 0; 0 if it is no number.
inline std::uintptr_t to_address(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.starts_with('0')) {
    base = 8;
  }
  std::uintptr_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size() ? value : 0;
}

// The function that holds the address, not one inlined into it: the client expects one name.
inline std::string name_of(const format::process_code& code, std::uintptr_t address) {
  if (core::is_pseudo(address)) return core::pseudo_name(address);
  const symbols::frame& function = code.resolve(address).frames.back();
  // [module+0x123] and [unknown] are placeholders, not names.
  if (symbols::is_placeholder(function.name)) return {};
  // The symbol of a C function's clone has a suffix that pprof does not know.
  const bool is_mangled = function.system_name.starts_with("_Z");
  return format::clean(is_mangled ? function.system_name : function.name);
}

// Returns nullopt if the text would be longer than `most`.
inline std::optional<std::string> names_of(std::string_view addresses, std::size_t most) {
  const format::process_code code;
  std::string text = "num_symbols: 1\n";
  while (!addresses.empty() && text.size() <= most) {
    const std::string_view one = addresses.substr(0, addresses.find('+'));
    addresses.remove_prefix(one.size() < addresses.size() ? one.size() + 1 : one.size());
    const std::uintptr_t address = to_address(one);
    const std::string name = address == 0 ? std::string{} : name_of(code, address);
    if (!name.empty()) format::append(text, format::hex{address}, " ", name, "\n");
  }
  return text.size() <= most ? std::optional(std::move(text)) : std::nullopt;
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_SYMBOL_HPP
