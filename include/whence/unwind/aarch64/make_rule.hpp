// SPDX-License-Identifier: Apache-2.0
//
// Makes a rule of a row of call-frame information. Nearly every row fits one; the others (a CFA
// that depends on the length of vectors, a CFA in x9 while a prologue probes the stack) are left to
// dwarf_walk, as are expressions.
#ifndef WHENCE_UNWIND_AARCH64_MAKE_RULE_HPP
#define WHENCE_UNWIND_AARCH64_MAKE_RULE_HPP

#if defined(__aarch64__)  // empty elsewhere, so that every header compiles alone

#include <cstdint>

#include <whence/sys/safe_read.hpp>
#include <whence/unwind/aarch64/call_site.hpp>
#include <whence/unwind/aarch64/registers.hpp>
#include <whence/unwind/aarch64/rule.hpp>
#include <whence/unwind/cfi/cfa_program.hpp>

namespace whence::inline v1::unwind {

class rule_maker {
 public:
  using row_type = cfa_row<rule_registers>;

  // The rule of `row`, which `program` came to for the address `lookup`.
  static rule make(const row_type& row, const cfa_program<rule_registers>&, const fde& f,
                   std::uintptr_t lookup) noexcept {
    if (f.common.signal_frame) {
      return rule::of(returns_from_signal(lookup) ? rule_kind::signal_frame : rule_kind::exact);
    }
    const register_rule ra = row.registers[rule_registers::ra];
    const register_rule fp = row.registers[rule_registers::fp];
    if (ra.where == register_location::undefined) return rule::of(rule_kind::outermost);

    const bool from_fp = row.cfa_register == dwarf::frame_pointer;
    if (row.cfa_by_expression || (!from_fp && row.cfa_register != dwarf::stack_pointer) ||
        f.common.return_column != dwarf::return_address) {
      return rule::of(rule_kind::exact);
    }
    const bool fp_unchanged =
        fp.where == register_location::unspecified || fp.where == register_location::same;
    if (ra.where == register_location::unspecified || ra.where == register_location::same) {
      return fp_unchanged && !from_fp ? rule::leaf(row.cfa_offset) : rule::of(rule_kind::exact);
    }
    const bool fp_beside_ra = fp.where == register_location::at_cfa && fp.value == ra.value - 8;
    if (ra.where != register_location::at_cfa || !(fp_unchanged || fp_beside_ra)) {
      return rule::of(rule_kind::exact);
    }
    return rule::frame(from_fp, row.cfa_offset, -std::int64_t{ra.value}, fp_beside_ra);
  }

 private:
  // For its code here the kernel's vDSO tells only where the handler's frame record is; it also has
  // a NOP before it, so that a lookup finds something. The address can be any of the three.
  static bool returns_from_signal(std::uintptr_t lookup) noexcept {
    unsigned char code[signal_return_bytes];
    const std::uintptr_t nop = lookup & ~std::uintptr_t{3};
    for (std::uintptr_t start = nop + 4; start >= nop - 4; start -= 4) {
      if (sys::copy_memory(code, start, sizeof code) && is_signal_return(code)) return true;
    }
    return false;
  }
};

}  // namespace whence::inline v1::unwind

#endif  // defined(__aarch64__)

#endif  // WHENCE_UNWIND_AARCH64_MAKE_RULE_HPP
