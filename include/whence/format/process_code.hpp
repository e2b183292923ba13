// SPDX-License-Identifier: Apache-2.0
//
// The writers' questions about code addresses: which functions they belong to, and which files are
// mapped where. Tests and benchmarks pass another class with the same two verbs.
//
// For libraries that dlopen loaded, stacks hold keys instead of addresses, for which the unwinder
// kept path and build-id: so they have names and a mapping there, even after dlclose.
#ifndef WHENCE_FORMAT_PROCESS_CODE_HPP
#define WHENCE_FORMAT_PROCESS_CODE_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/symbols/mappings.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/symbols/symbolizer.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::format {

template <class = void>
class basic_process_code {
 public:
  basic_process_code() {
    for_each_record([this](const unwind::unloadable_record& record) { names_.remember(record); });
  }

  const symbols::location& resolve(std::uintptr_t lookup_pc) const {
    return names_.resolve(lookup_pc);
  }

  // See symbolizer.
  std::string function_at(std::uintptr_t pc) const { return names_.function_at(pc); }

  // The address to write for one of a stack: where its code is now, if it is loaded.
  std::uintptr_t place_of(std::uintptr_t address) const { return names_.place_of(address); }

  // The executable mappings. The program's own come first, since readers take the first for it.
  sys::vector<symbols::mapping> mappings() const {
    sys::vector<symbols::mapping> all = names_.mappings();
    for_each_record([&all](const unwind::unloadable_record& record) {
      all.push_back(symbols::mapping_of(record));
    });
    return all;
  }

  // The files and tables of the symbolizer are kept between these two; the constructor opens them.
  // A writer closes them while it may have to wait for its reader. What was resolved stays known.
  void open() { open_.emplace(names_); }
  void close() { open_.reset(); }

  // Notes for people: what could not be read in the modules of resolved addresses.
  std::vector<std::string> notes() const { return names_.notes(); }

 private:
  template <class Visit>
  static void for_each_record(Visit visit) {
    const state::process_state& s = state::attached();
    s.unwinder.loaded().for_each(visit);
  }

  symbols::symbolizer& names_ = symbols::symbolizer::instance();
  const symbols::symbolizer::use valid_{names_, state::attached().budget.names_limit()};
  std::optional<symbols::symbolizer::reading> open_{names_};
};
using process_code = basic_process_code<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_PROCESS_CODE_HPP
