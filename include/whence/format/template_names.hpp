// SPDX-License-Identifier: Apache-2.0
//
// Names with template arguments, which Go's text shows beside the short ones. profile.proto keeps
// each function's linker name, from which a client makes any other; the text has no linker names,
// so without these names two instances of a template would look like one.
#ifndef WHENCE_FORMAT_TEMPLATE_NAMES_HPP
#define WHENCE_FORMAT_TEMPLATE_NAMES_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <whence/symbols/function_name.hpp>
#include <whence/symbols/symbolizer.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::format {

template <class = void>
class basic_template_names {
 public:
  // Empty if it equals the short name. Valid until the next call. Throws: std::bad_alloc.
  std::string_view of(const symbols::frame& f) {
    // The symbolizer's texts are unique and stay, so their addresses identify functions.
    const char* const place = f.system_name.data();
    const std::uint64_t hash = sys::mix64(reinterpret_cast<std::uintptr_t>(place));
    std::uint32_t at = index_.find(hash, [&](std::uint32_t i) { return all_[i].place == place; });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(all_.size());
      std::string name = symbols::name_of(f.system_name, name_style::templates);
      if (name.size() <= f.name.size()) name.clear();
      all_.push_back({place, std::move(name)});
      index_.insert(hash, at);
    }
    return all_[at].name;
  }

 private:
  struct known {
    const char* place;
    std::string name;
  };

  sys::vector<known> all_;
  sys::flat_index index_;
};
using template_names = basic_template_names<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_TEMPLATE_NAMES_HPP
