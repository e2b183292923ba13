// SPDX-License-Identifier: Apache-2.0
//
// Makes a rule of a row of call-frame information. Expressions are evaluated as formulas of sp and
// fp; the pc is known, so the formula of a PLT stub (8 or 16 bytes, depending on the place in the
// stub) is a plain offset.
#ifndef WHENCE_UNWIND_X86_64_MAKE_RULE_HPP
#define WHENCE_UNWIND_X86_64_MAKE_RULE_HPP

#include <cstddef>
#include <cstdint>

#include <whence/unwind/cfi/cfa_program.hpp>
#include <whence/unwind/cfi/expression.hpp>
#include <whence/unwind/x86_64/registers.hpp>
#include <whence/unwind/x86_64/rule.hpp>

namespace whence::inline v1::unwind {

// Stands for base + offset or, if loaded, *(base + inner) + offset.
struct formula {
  enum : unsigned char { number, sp, fp } base = number;
  bool loaded = false;
  std::int64_t inner = 0;
  std::int64_t offset = 0;

  bool is(decltype(number) b, std::int64_t at) const noexcept {
    return base == b && !loaded && offset == at;
  }
  bool is_load(decltype(number) b, std::int64_t from) const noexcept {
    return base == b && loaded && inner == from && offset == 0;
  }
};

struct formula_machine {
  using value = formula;

  std::uintptr_t pc;

  static formula constant(std::uint64_t n) noexcept {
    formula f;
    f.offset = static_cast<std::int64_t>(n);
    return f;
  }
  bool reg(std::uint64_t number, std::int64_t offset, formula& f) const noexcept {
    if (number == dwarf::return_address) {
      f = constant(pc + static_cast<std::uint64_t>(offset));
      return true;
    }
    f = {};
    f.base = number == dwarf::stack_pointer ? formula::sp : formula::fp;
    f.offset = offset;
    return number == dwarf::stack_pointer || number == dwarf::frame_pointer;
  }
  static bool load(formula& f, std::uint64_t bytes) noexcept {
    if (bytes != 8 || f.base == formula::number || f.loaded) return false;
    f.loaded = true;
    f.inner = f.offset;
    f.offset = 0;
    return true;
  }
  static bool apply(std::uint8_t which, formula& a, formula b) noexcept {
    if (which == op::plus && a.base == formula::number) {
      const formula swapped = a;
      a = b;
      b = swapped;
    }
    if (b.base != formula::number || b.loaded) return false;
    auto n = static_cast<std::uint64_t>(a.offset);
    if (a.base != formula::number && which != op::plus && which != op::minus) return false;
    if (!compute(which, n, static_cast<std::uint64_t>(b.offset))) return false;
    a.offset = static_cast<std::int64_t>(n);
    return true;
  }
};

class rule_maker {
 public:
  using row_type = cfa_row<rule_registers>;

  // The rule of `row`, which `program` came to for the address `lookup`.
  static rule make(const row_type& row, const cfa_program<rule_registers>& program, const fde& f,
                   std::uintptr_t lookup) noexcept {
    const register_rule ra = row.registers[rule_registers::ra];
    const register_rule fp = row.registers[rule_registers::fp];
    if (ra.where == register_location::undefined) return rule::of(rule_kind::outermost);

    formula_machine machine{lookup};
    const auto formula_of = [&](std::int64_t distance, formula& result) {
      return expression(machine).evaluate(program.expression(distance), result);
    };
    formula cfa;
    if (row.cfa_by_expression ? !formula_of(row.cfa_offset, cfa)
                              : !machine.reg(row.cfa_register, row.cfa_offset, cfa)) {
      return rule::of(rule_kind::exact);
    }

    if (f.common.signal_frame) {
      formula at;
      const bool kernels = cfa.is_load(formula::sp, saved_by_kernel(REG_RSP)) &&
                           ra.where == register_location::at_expression &&
                           formula_of(ra.value, at) && at.is(formula::sp, saved_by_kernel(REG_RIP));
      return rule::of(kernels ? rule_kind::signal_frame : rule_kind::exact);
    }
    if (ra.where != register_location::at_cfa || ra.value != -8) return rule::of(rule_kind::exact);

    if (cfa.loaded && cfa.base == formula::fp) {
      formula at;
      const bool saved = fp.where == register_location::at_expression && formula_of(fp.value, at) &&
                         at.is(formula::fp, 0) && cfa.offset == 0;
      return saved ? rule::of(rule_kind::aligned, cfa.inner) : rule::of(rule_kind::exact);
    }
    std::int64_t slot = rule::unchanged_fp;
    formula at;
    if (fp.where == register_location::at_expression && cfa.base == formula::sp && !cfa.loaded &&
        formula_of(fp.value, at) && at.is(formula::fp, 0)) {
      // GCC does not say that a realigned frame has popped fp when only the return is left.
    } else if (fp.where == register_location::at_cfa && fp.value % 8 == 0 && fp.value < -8) {
      slot = -std::int64_t{fp.value} / 8;
    } else if (fp.where != register_location::unspecified && fp.where != register_location::same) {
      return rule::of(rule_kind::exact);
    }
    if (cfa.loaded) {
      const bool fits = cfa.base == formula::sp && cfa.offset == 8;
      return fits ? rule::of(rule_kind::indirect, cfa.inner, slot) : rule::of(rule_kind::exact);
    }
    if (cfa.base == formula::number) return rule::of(rule_kind::exact);
    return rule::frame(cfa.base == formula::fp, cfa.offset, slot);
  }

 private:
  // Where the kernel saves a register, from the sp at which a handler returns.
  static constexpr std::int64_t saved_by_kernel(int greg) noexcept {
    return static_cast<std::int64_t>(offsetof(ucontext_t, uc_mcontext.gregs)) + 8 * greg;
  }
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_MAKE_RULE_HPP
