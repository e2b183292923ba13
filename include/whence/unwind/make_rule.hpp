// SPDX-License-Identifier: Apache-2.0
//
// Makes the rule of an address from the call-frame information of the module that holds it.
// Signal-safe if Memory is (unwind/cfi/eh_frame.hpp). Never allocates.
#ifndef WHENCE_UNWIND_MAKE_RULE_HPP
#define WHENCE_UNWIND_MAKE_RULE_HPP

#include <cstdint>

#include <whence/unwind/arch.hpp>
#include <whence/unwind/cfi/cfa_program.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>
#include <whence/unwind/modules/module.hpp>

namespace whence::inline v1::unwind {

// Returns `linked` for code without an entry, `exact` for an entry that fits no rule or is damaged,
// no rule for what is not code.
template <class Memory>
rule make_rule(const module& m, std::uintptr_t lookup, Memory& memory) noexcept {
  fde f;
  switch (eh_frame(m.frames, memory).find(lookup, f)) {
    case lookup_result::found:
      break;
    case lookup_result::no_entry:
      return m.holds_code(lookup) ? rule::of(rule_kind::linked) : rule{};
    case lookup_result::damaged:
      return rule::of(rule_kind::exact);
  }
  cfa_program<rule_registers> program(f);
  cfa_row<rule_registers> row;
  if (!program.run(f, lookup, row)) return rule::of(rule_kind::exact);
  return rule_maker::make(row, program, f, lookup);
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MAKE_RULE_HPP
