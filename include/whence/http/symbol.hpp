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
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/format/process_code.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/http/operation.hpp>
#include <whence/symbols/symbolizer.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/tables/pseudo_frame.hpp>

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
  if (tables::is_pseudo(address)) return tables::pseudo_name(address);
  return format::clean(code.function_at(address));
}

// Writes the names. The addresses are looked up in ascending order, so that each module is read
// once. Throws: std::bad_alloc.
inline std::error_code write_names(sink& out, std::string_view addresses) {
  constexpr std::size_t spill_size = 64 * 1024;
  std::vector<std::uintptr_t> asked;
  while (!addresses.empty()) {
    const std::string_view one = addresses.substr(0, addresses.find('+'));
    addresses.remove_prefix(one.size() < addresses.size() ? one.size() + 1 : one.size());
    if (const std::uintptr_t address = to_address(one); address != 0) asked.push_back(address);
  }
  sys::sort(asked, [](std::uintptr_t a, std::uintptr_t b) { return a < b; });
  const format::process_code code;
  std::string text = "num_symbols: 1\n";
  std::string name;
  std::uintptr_t before = 0;
  for (const std::uintptr_t address : asked) {
    if (std::exchange(before, address) != address) name = name_of(code, address);
    if (!name.empty()) format::append(text, format::hex{address}, " ", name, "\n");
    if (text.size() < spill_size) continue;
    if (const std::error_code error = out.write(std::as_bytes(std::span(text)))) return error;
    text.clear();
  }
  return out.write(std::as_bytes(std::span(text)));
}

class names final : public pending {
 public:
  explicit names(std::string addresses) : addresses_(std::move(addresses)) {}

  std::error_code write(sink& body) override { return write_names(body, addresses_); }

 private:
  const std::string addresses_;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_SYMBOL_HPP
