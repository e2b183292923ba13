// SPDX-License-Identifier: Apache-2.0
//
// What the writers ask about code addresses: what is there, and which files are mapped where. Tests
// and benchmarks give the writers something else with the same two verbs.
#ifndef WHENCE_FORMAT_PROCESS_CODE_HPP
#define WHENCE_FORMAT_PROCESS_CODE_HPP

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <whence/symbols/mappings.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/symbols/symbolizer.hpp>

namespace whence::inline v1::format {

struct process_code {
  const symbols::location& resolve(std::uintptr_t lookup_pc) const {
    return symbols::symbolizer::instance().resolve(lookup_pc);
  }

  // The executable mappings, those of the program itself first: readers take the first for it.
  std::vector<symbols::mapping> mappings() const {
    std::vector<symbols::mapping> all = symbols::read_mappings();
    const std::string program = symbols::executable_path();
    std::stable_partition(all.begin(), all.end(),
                          [&](const symbols::mapping& m) { return m.filename == program; });
    return all;
  }
};

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_PROCESS_CODE_HPP
