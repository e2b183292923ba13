// SPDX-License-Identifier: Apache-2.0
//
// What the writers ask about code addresses: what is there, and which files are mapped where. Tests
// and benchmarks give the writers something else with the same two verbs.
//
// Of a library that was unloaded the unwinder kept path and build-id, when the first stack went
// through it: it has names and a mapping as long as nothing else is mapped at its place.
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
#include <whence/sys/sequence.hpp>

namespace whence::inline v1::format {

class process_code {
 public:
  process_code() {
    for_each_record([](const unwind::plugin_record& record) {
      symbols::symbolizer::instance().remember(symbols::module_of(record));
    });
  }

  const symbols::location& resolve(std::uintptr_t lookup_pc) const {
    return symbols::symbolizer::instance().resolve(lookup_pc);
  }

  // The executable mappings, those of the program itself first: readers take the first for it.
  std::vector<symbols::mapping> mappings() const {
    std::vector<symbols::mapping> all = symbols::read_mappings();
    for_each_record([&all](const unwind::plugin_record& record) {
      const symbols::mapping gone = symbols::mapping_of(record);
      const bool free = sys::all_of(all, [&gone](const symbols::mapping& now) {
        return now.start >= gone.limit || gone.start >= now.limit;
      });
      if (free) all.push_back(gone);
    });
    const std::string program = symbols::executable_path();
    sys::sort(all, [&](const symbols::mapping& a, const symbols::mapping& b) {
      return a.filename == program && b.filename != program;
    });
    return all;
  }

 private:
  template <class Visit>
  static void for_each_record(Visit visit) {
    if (const core::process_state* const s = core::state()) s->unwinder.loaded().for_each(visit);
  }
};

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_PROCESS_CODE_HPP
