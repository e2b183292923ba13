// SPDX-License-Identifier: Apache-2.0
//
// The names that Go's text shows beside the short ones: with template arguments. A file in
// profile.proto keeps the linker's name of each function, from which a client makes any other; the
// text keeps none, so that without them two instances of a template would be one.
#ifndef WHENCE_FORMAT_TEMPLATE_NAMES_HPP
#define WHENCE_FORMAT_TEMPLATE_NAMES_HPP

#include <string>
#include <string_view>
#include <unordered_map>

#include <whence/symbols/function_name.hpp>
#include <whence/symbols/symbolizer.hpp>

namespace whence::inline v1::format {

class template_names {
 public:
  // Empty if it is the short name. Good as long as this object. Throws: std::bad_alloc.
  std::string_view of(const symbols::frame& f) {
    // Texts of the symbolizer are unique, and stay: so a function is known by its place.
    const auto [known, is_new] = names_.try_emplace(f.system_name.data());
    if (is_new) {
      known->second = symbols::name_of(f.system_name, name_style::templates);
      if (known->second.size() <= f.name.size()) known->second.clear();
    }
    return known->second;
  }

 private:
  std::unordered_map<const char*, std::string> names_;
};

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_TEMPLATE_NAMES_HPP
