// SPDX-License-Identifier: Apache-2.0
//
// The walk by the DWARF itself, with all registers and every expression: for the few stacks that
// hold a frame which no rule describes (a CFA kept in rbx, in the lazy binder; a prologue that
// realigns the stack). It begins at the leaf again, because the rules drop the other registers.
//
// It has walk's invariant and interface. Some 0.2 us a frame. Signal-safe. Never allocates.
#ifndef WHENCE_UNWIND_WALK_DWARF_WALK_HPP
#define WHENCE_UNWIND_WALK_DWARF_WALK_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <whence/sys/safe_read.hpp>
#include <whence/unwind/arch.hpp>
#include <whence/unwind/cfi/cfa_program.hpp>
#include <whence/unwind/cfi/expression.hpp>
#include <whence/unwind/pc.hpp>
#include <whence/unwind/stop_reason.hpp>
#include <whence/unwind/unwinder.hpp>
#include <whence/unwind/walk/read_above_sp.hpp>
#include <whence/unwind/walk/return_address_check.hpp>
#include <whence/unwind/walk/stack_memory.hpp>

namespace whence::inline v1::unwind {

template <class Memory>
class dwarf_walk {
 public:
  dwarf_walk(unwinder& u, const all_registers& leaf) noexcept
      : unwinder_(u), leaf_(leaf), stack_(leaf.value[all_registers::sp]) {}

  bool start() noexcept {
    now_ = leaf_;
    known_ = ~std::uint64_t{0};
    stack_.move_to(sp());
    return settle(pc::instruction(now_.value[all_registers::pc]));
  }

  bool restart() noexcept { return start(); }

  template <class Visit>
  bool climb_while(Visit visit) noexcept {
    while (visit(shown_)) {
      if (!step()) return false;
    }
    return true;
  }

  stop_reason end() const noexcept { return end_; }
  bool met_plugin() const noexcept { return plugin_.where.end != 0; }
  // True if an address was not found by call-frame information: it may be stale.
  bool guessed() const noexcept { return !is_trusted(memory_); }
  static constexpr bool needs_exact() noexcept { return false; }

  // DWARF expressions are evaluated on the frame in hand.
  using value = std::uint64_t;
  static value constant(std::uint64_t n) noexcept { return n; }
  bool reg(std::uint64_t number, std::int64_t offset, value& v) const noexcept {
    const int slot = all_registers::slot(number);
    if (slot < 0 || (known_ >> slot & 1) == 0) return false;
    v = now_.value[slot] + static_cast<std::uint64_t>(offset);
    return true;
  }
  bool load(value& v, std::uint64_t bytes) noexcept {
    std::uintptr_t word = 0;
    if (bytes == 0 || bytes > sizeof word || !read(static_cast<std::uintptr_t>(v), word))
      return false;
    v = bytes == sizeof word ? word : word & ((std::uint64_t{1} << 8 * bytes) - 1);
    return true;
  }
  static bool apply(std::uint8_t which, value& a, value b) noexcept { return compute(which, a, b); }

 private:
  using row_type = cfa_row<all_registers>;
  static constexpr int most_moves = 16;            // signal frames and contexts on one stack
  static constexpr std::uintptr_t red_zone = 128;  // below sp, a leaf's own (AMD64 ABI 3.2.2)

  std::uintptr_t sp() const noexcept { return now_.value[all_registers::sp]; }
  std::uintptr_t fp() const noexcept { return now_.value[all_registers::fp]; }

  bool finish(stop_reason end) noexcept {
    end_ = end;
    return false;
  }

  bool read(std::uintptr_t address, std::uintptr_t& word) noexcept {
    if (read_above_sp(sp(), address, stack_, word)) return true;
    if (sp() - address > red_zone) return false;
    return sys::copy_memory(&word, address, sizeof word);
  }

  // How the frame in hand is left: by its row, its frame pointer, its call alone, what the kernel
  // saved, or not at all.
  enum class way : unsigned char { row, linked, leaf, signal, none };

  bool settle(pc at) noexcept {
    const std::uintptr_t address = plain_code_address(at.address());
    if (address == 0) return finish(stack_.end_of_null_return());
    at = at.is_return_address() ? pc::return_address(address) : pc::instruction(address);
    lookup_ = at.lookup();
    shown_ = at.address();
    switch (unwinder_.entry_for(lookup_, memory_, plugin_, entry_)) {
      case lookup_result::found:
        way_ = entry_.common.signal_frame && ends_signal(shown_) ? way::signal : way::row;
        return true;
      case lookup_result::damaged:
        return finish(stop_reason::damaged);
      case lookup_result::no_entry:
        break;
    }
    distrust(memory_);
    way_ = way::linked;
    if (!at.is_return_address()) {
      registers r = rule_part(now_);
      fde caller;
      if (climb(leaf_rule, r, stack_) && follows_call(r.pc) &&
          unwinder_.entry_for(r.pc - 1, memory_, plugin_, caller) == lookup_result::found) {
        way_ = way::leaf;
      }
      return true;
    }
    if (!stack_.holds(address) && follows_call(address)) {
      if (fp() == 0) way_ = way::none;
      return true;
    }
    if (ends_signal(address)) {
      way_ = way::signal;
      return true;
    }
    fde function;
    if (unwinder_.entry_for(address, memory_, plugin_, function) != lookup_result::found ||
        function.start != address) {
      return finish(stop_reason::not_code);
    }
    shown_ = pc::instruction(address).as_return_address();
    way_ = way::none;
    return true;
  }

  bool step() noexcept {
    if (way_ == way::none) return finish(stop_reason::root);
    if (way_ == way::signal) {
      if (!interrupted(rule_part(now_), stack_, now_)) return finish(stop_reason::outside_stack);
      known_ = ~std::uint64_t{0};
      stack_.move_to(sp());
      return settle_interrupted();
    }
    if (way_ != way::row) {
      registers r = rule_part(now_);
      const bool climbed = way_ == way::leaf ? climb(leaf_rule, r, stack_)
                                             : climb_rare(rule::of(rule_kind::linked), r, stack_);
      if (!climbed) return finish(stop_reason::outside_stack);
      now_.value[all_registers::pc] = r.pc;
      now_.value[all_registers::sp] = r.sp;
      now_.value[all_registers::fp] = r.fp;
      forget_scratch();
      forget_link();
      const bool by_record = way_ == way::linked;
      if (!settle(pc::return_address(r.pc))) return false;
      if (by_record && way_ == way::row) {
        correct_sp(unwinder_.rule_for(lookup_, memory_, plugin_), r);
        now_.value[all_registers::sp] = r.sp;
      }
      return true;
    }
    cfa_program<all_registers> program(entry_);
    row_type row;
    if (!program.run(entry_, lookup_, row)) return finish(stop_reason::damaged);
    const auto ra_slot = static_cast<std::size_t>(all_registers::slot(entry_.common.return_column));
    if (ra_slot >= all_registers::count) return finish(stop_reason::damaged);
    if (row.registers[ra_slot].where == register_location::undefined)
      return finish(stop_reason::root);

    value cfa = 0;
    if (row.cfa_by_expression ? !expression(*this).evaluate(program.expression(row.cfa_offset), cfa)
                              : !reg(row.cfa_register, row.cfa_offset, cfa)) {
      return finish(stop_reason::damaged);
    }
    if (!climb_row(row, program, cfa)) return finish(stop_reason::outside_stack);
    const std::uintptr_t ra = now_.value[ra_slot];
    now_.value[all_registers::pc] = ra;
    // A frame that tells where sp was may be on another stack.
    const bool moved = row.registers[all_registers::sp].where != register_location::unspecified;
    if (moved) {
      // Such a frame need not rise: without a limit on them, a damaged stack would be walked in
      // circles.
      if (++moves_ > most_moves) return finish(stop_reason::damaged);
      stack_.move_to(sp());
    }
    if (entry_.common.signal_frame) return settle_interrupted();
    forget_link();
    return settle(pc::return_address(ra));
  }

  bool settle_interrupted() noexcept {
    if (!settle(pc::instruction(now_.value[all_registers::pc]))) return false;
    shown_ = pc::instruction(shown_).as_return_address();
    return true;
  }

  // Computes the caller's registers from those of the frame in hand.
  bool climb_row(const row_type& row, const cfa_program<all_registers>& program,
                 value cfa) noexcept {
    const bool signal = entry_.common.signal_frame;
    const bool sp_follows =
        row.registers[all_registers::sp].where == register_location::unspecified;
    // Only a leaf whose RA is in a register may have made no frame.
    const register_rule& ra = row.registers[all_registers::slot(entry_.common.return_column)];
    const bool may_be_empty =
        ra.where == register_location::unspecified || ra.where == register_location::same;
    if (!signal && sp_follows && (cfa < sp() || (cfa == sp() && !may_be_empty))) return false;
    all_registers caller = now_;
    std::uint64_t known = known_;
    caller.value[all_registers::sp] = static_cast<std::uintptr_t>(cfa);
    for (int i = 0; i < all_registers::count; ++i) {
      const register_rule& rule = row.registers[i];
      value v = caller.value[i];
      bool ok = true;
      switch (rule.where) {
        case register_location::unspecified:
          ok = signal || i == all_registers::sp || !all_registers::lost_in_call(i);
          ok = ok && (known >> i & 1) != 0;
          break;
        case register_location::same:
          ok = (known >> i & 1) != 0;
          break;
        case register_location::undefined:
          ok = false;
          break;
        case register_location::at_cfa:
          v = cfa + static_cast<std::uint64_t>(std::int64_t{rule.value});
          ok = load(v, sizeof(std::uintptr_t));
          break;
        case register_location::cfa_plus:
          v = cfa + static_cast<std::uint64_t>(std::int64_t{rule.value});
          break;
        case register_location::in_register:
          ok = reg(static_cast<std::uint64_t>(rule.value), 0, v);
          break;
        case register_location::at_expression:
          ok = expression(*this).evaluate(program.expression(rule.value), v, &cfa);
          // GCC says that a realigned frame saves fp at fp, even after it was popped.
          if (ok && !signal && i == all_registers::fp && (v < sp() - red_zone || v >= cfa)) {
            v = now_.value[i];
          } else {
            ok = ok && load(v, sizeof(std::uintptr_t));
          }
          break;
        case register_location::by_expression:
          ok = expression(*this).evaluate(program.expression(rule.value), v, &cfa);
          break;
      }
      caller.value[i] = static_cast<std::uintptr_t>(v);
      known = ok ? known | std::uint64_t{1} << i : known & ~(std::uint64_t{1} << i);
    }
    const auto ra_slot = all_registers::slot(entry_.common.return_column);
    if ((known >> ra_slot & 1) == 0) return false;
    now_ = caller;
    known_ = known;
    return true;
  }

  void forget_scratch() noexcept {
    for (int i = 0; i < all_registers::count; ++i) {
      if (all_registers::lost_in_call(i)) known_ &= ~(std::uint64_t{1} << i);
    }
  }

  // A frame that made a call no longer has its RA in a register.
  void forget_link() noexcept {
    if (all_registers::lr == all_registers::pc) return;
    now_.value[all_registers::lr] = 0;
    known_ &= ~(std::uint64_t{1} << all_registers::lr);
  }

  unwinder& unwinder_;
  all_registers leaf_;
  all_registers now_{};
  std::uint64_t known_ = 0;  // bit i: now_.value[i] is what the frame had
  stack_memory stack_;
  std::uintptr_t lookup_ = 0;
  std::uintptr_t shown_ = 0;
  way way_ = way::row;
  int moves_ = 0;
  stop_reason end_ = stop_reason::enough;
  fde entry_;
  [[no_unique_address]] Memory memory_;
  plugin plugin_;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_DWARF_WALK_HPP
