// SPDX-License-Identifier: Apache-2.0
//
// Names with template arguments, which Go's text shows beside the short ones. profile.proto keeps
// each function's linker name, from which a client makes any other; the text has no linker names,
// so without these names two instances of a template would look like one.
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
  // Empty if it equals the short name. Valid as long as this object. Throws: std::bad_alloc.
  std::string_view of(const symbols::frame& f) {
    // The symbolizer's texts are unique and stay, so their addresses identify functions.
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
