// SPDX-License-Identifier: Apache-2.0
//
// What the writers ask about code addresses: what is there, and which files are mapped where. Tests
// and benchmarks give the writers something else with the same two verbs.
//
// Stacks have the addresses of libraries that dlopen loaded as keys, of which the unwinder kept
// path and build-id: they have names and a mapping there, unloaded or not.
#ifndef WHENCE_FORMAT_PROCESS_CODE_HPP
#define WHENCE_FORMAT_PROCESS_CODE_HPP

#include <cstdint>
#include <string>
#include <vector>

#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/symbols/mappings.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/symbols/symbolizer.hpp>

namespace whence::inline v1::format {

class process_code {
 public:
  process_code() {
    for_each_record([this](const unwind::plugin_record& record) { names_.remember(record); });
  }

  const symbols::location& resolve(std::uintptr_t lookup_pc) const {
    return names_.resolve(lookup_pc);
  }

  // As symbolizer's.
  std::string function_at(std::uintptr_t pc) const { return names_.function_at(pc); }

  // What to write for an address of a stack: where its code is now, if it is loaded.
  std::uintptr_t place_of(std::uintptr_t address) const { return names_.place_of(address); }

  // The executable mappings, those of the program itself first: readers take the first for it.
  std::vector<symbols::mapping> mappings() const {
    std::vector<symbols::mapping> all = names_.mappings();
    for_each_record([&all](const unwind::plugin_record& record) {
      all.push_back(symbols::mapping_of(record));
    });
    return all;
  }

  // What could not be read of the modules that addresses were resolved in, for people.
  std::vector<std::string> notes() const { return names_.notes(); }

 private:
  template <class Visit>
  static void for_each_record(Visit visit) {
    if (const core::process_state* const s = core::state()) s->unwinder.loaded().for_each(visit);
  }

  symbols::symbolizer& names_ = symbols::symbolizer::instance();
  symbols::symbolizer::reading open_{names_};
};

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_PROCESS_CODE_HPP
