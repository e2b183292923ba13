// SPDX-License-Identifier: Apache-2.0
//
// How one frame leads to its caller's, in 32 bits. *(a) is the word at a; CFA is the caller's sp,
// fp is x29, and fp and RA are saved beside each other or fp is not saved.
//
//   frame         CFA = sp + 16n   RA = *(CFA - 8m)   fp = fp  or  *(CFA - 8m - 8)
//                 CFA = fp + 16n   RA = *(CFA - 8m)   fp = fp  or  *(CFA - 8m - 8)
//                 CFA = sp + 16n   RA = lr            fp = fp  (a leaf, a prologue, an epilogue)
//   signal_frame  everything from the siginfo_t and ucontext_t at sp: the RA is an interrupted
//                 instruction
//   linked        CFA >= fp + 16   RA = *(fp + 8)     fp = *(fp)  (no call-frame information)
//   outermost     there is no caller
//   exact         none of these: by the DWARF itself
//   elsewhere     the code can be unloaded: the rule is filed under a name that cannot be reused
//
//   frame:  | n, 14 | m, 15 | saves fp, 1 | 1 | from fp, 1 |     m = 2^15-1: RA = lr
//   others: | 0, 27 | kind, 3 | 0 | 0 |
//
// A frame rule never reads below sp, because there is no red zone. 0 means: no rule.
#ifndef WHENCE_UNWIND_AARCH64_RULE_HPP
#define WHENCE_UNWIND_AARCH64_RULE_HPP

#if defined(__aarch64__)  // empty elsewhere, so that every header compiles alone

#include <cstddef>
#include <cstdint>

#include <whence/unwind/aarch64/registers.hpp>
#include <whence/unwind/walk/read_above_sp.hpp>

namespace whence::inline v1::unwind {

enum class rule_kind : unsigned char {
  none,
  signal_frame,
  linked,
  outermost,
  exact,
  elsewhere,
  frame,
};

// A word whose lower half is free for the rule cache's use.
class rule {
 public:
  constexpr rule() noexcept = default;
  static constexpr rule from_word(std::uint64_t word) noexcept { return rule(word); }
  constexpr std::uint64_t word() const noexcept { return word_; }
  static constexpr std::uint64_t bits = std::uint64_t{0xffffffff} << 32;

  // `ra_below`: the RA is at CFA - ra_below; `saves_fp`: fp is just below it.
  static constexpr rule frame(bool from_fp, std::int64_t cfa_offset, std::int64_t ra_below,
                              bool saves_fp) noexcept {
    const bool fits = is_cfa_offset(cfa_offset) && ra_below >= 8 && ra_below % 8 == 0 &&
                      ra_below + (saves_fp ? 8 : 0) <= cfa_offset;
    return fits ? rule(from_fp, cfa_offset, ra_below, saves_fp) : of(rule_kind::exact);
  }
  // The rule of a function whose RA is in lr.
  static constexpr rule leaf(std::int64_t cfa_offset) noexcept {
    return is_cfa_offset(cfa_offset) ? rule(false, cfa_offset, in_lr, false) : of(rule_kind::exact);
  }
  static constexpr rule of(rule_kind kind) noexcept {
    return rule(static_cast<std::uint64_t>(kind) << 34);
  }

  constexpr explicit operator bool() const noexcept { return (word_ & bits) != 0; }
  constexpr bool is_frame() const noexcept { return (word_ & frame_bit) != 0; }
  constexpr rule_kind kind() const noexcept {
    return is_frame() ? rule_kind::frame : static_cast<rule_kind>(word_ >> 34 & 7);
  }

  // The parts of a frame rule.
  constexpr bool from_fp() const noexcept { return (word_ & fp_bit) != 0; }
  constexpr bool ra_is_in_lr() const noexcept { return ra_below() == in_lr; }
  constexpr std::uintptr_t cfa_offset() const noexcept { return (word_ >> 50) * 16; }
  constexpr std::uintptr_t ra_below() const noexcept { return word_ >> 32 & 0x3fff8; }
  // The lowest word that is read is at CFA - lowest().
  constexpr std::uintptr_t lowest() const noexcept { return ra_below() + (word_ >> 31 & 8); }

  friend constexpr bool operator==(rule a, rule b) noexcept {
    return ((a.word_ ^ b.word_) & bits) == 0;
  }

 private:
  static constexpr std::uint64_t fp_bit = std::uint64_t{1} << 32;
  static constexpr std::uint64_t frame_bit = std::uint64_t{2} << 32;
  static constexpr std::uint64_t saves_fp_bit = std::uint64_t{4} << 32;
  // More than any CFA offset, so the check that a frame is large enough sets these apart.
  static constexpr std::uintptr_t in_lr = 0x3fff8;

  static constexpr bool is_cfa_offset(std::int64_t n) noexcept {
    return n >= 0 && n % 16 == 0 && n < (16 << 14);
  }
  constexpr explicit rule(std::uint64_t word) noexcept : word_(word) {}
  constexpr rule(bool from_fp, std::int64_t cfa_offset, std::int64_t ra_below,
                 bool saves_fp) noexcept
      : word_(static_cast<std::uint64_t>(cfa_offset / 16) << 50 |
              static_cast<std::uint64_t>(ra_below / 8) << 35 | (saves_fp ? saves_fp_bit : 0) |
              frame_bit | (from_fp ? fp_bit : 0)) {}

  std::uint64_t word_ = 0;
};

// Requires: a frame rule.
constexpr bool saves_fp(rule q) noexcept {
  return q.lowest() != q.ra_below();
}

// Where a frame rule that led to `cfa` found the RA, and fp if it saves that. An RA in lr has no
// place; its frame is a leaf, which no other stack has.
constexpr std::uintptr_t saved_ra(rule q, std::uintptr_t cfa) noexcept {
  return q.ra_is_in_lr() ? cfa : cfa - q.ra_below();
}
constexpr std::uintptr_t saved_fp(rule q, std::uintptr_t cfa) noexcept {
  return cfa - q.lowest();
}

// The rule of a function that has not made a frame.
inline constexpr rule leaf_rule = rule::leaf(0);

template <class Stack>
[[gnu::noinline, gnu::cold]] bool climb_by_lr(rule q, registers& r, Stack& stack) noexcept {
  const std::uintptr_t cfa = r.sp + q.cfa_offset();
  if (r.lr == 0 || cfa < r.sp || (cfa > stack.end() && !stack.reach(cfa))) return false;
  r = {plain_code_address(r.lr), cfa, r.fp};
  return true;
}

// Climbs by a frame rule; false if that would leave the stack. `Stack` is like stack_memory.
template <class Stack>
[[gnu::always_inline]] inline bool climb(rule q, registers& r, Stack& stack) noexcept {
  const std::uintptr_t base = q.from_fp() ? r.fp : r.sp;
  const std::uintptr_t cfa = base + q.cfa_offset();
  // Computed modulo 2^64: a base below sp rises too little, or by more than there is room.
  const std::uintptr_t rise = cfa - r.sp;
  if (rise < q.lowest()) [[unlikely]]
    return q.ra_is_in_lr() && climb_by_lr(q, r, stack);
  if (rise > stack.end() - r.sp && !(cfa > r.sp && stack.reach(cfa))) [[unlikely]]
    return false;
  const std::uintptr_t saved = stack.load(cfa - q.lowest());
  r.fp = saves_fp(q) ? saved : r.fp;
  r.pc = plain_code_address(stack.load(cfa - q.ra_below()));
  r.sp = cfa;
  r.lr = 0;
  return true;
}

// Where the kernel saved x0, x1, ... x30, sp, pc, from the sp at which a handler returns: they are
// behind the siginfo_t, in the ucontext_t.
inline constexpr std::uintptr_t saved_by_kernel = 128 + offsetof(ucontext_t, uc_mcontext.regs);
static_assert(offsetof(mcontext_t, sp) == offsetof(mcontext_t, regs) + std::size_t{31} * 8);
static_assert(offsetof(mcontext_t, pc) == offsetof(mcontext_t, regs) + std::size_t{32} * 8);

// Reads all interrupted registers from the frame of the signal handler's caller.
template <class Stack>
bool interrupted(const registers& r, Stack& stack, all_registers& all) noexcept {
  // The kernel's order is DWARF's.
  for (unsigned number = 9; number <= 32; ++number) {
    const int slot = all_registers::slot(number);
    if (slot >= 0 && !read_above_sp(r.sp, r.sp + saved_by_kernel + std::uintptr_t{8} * number,
                                    stack, all.value[slot])) {
      return false;
    }
  }
  return true;
}

// Climbs by a rule with a fixed layout that is not a frame. Requires: linked or signal_frame.
template <class Stack>
bool climb_rare(rule q, registers& r, Stack& stack) noexcept {
  if (q.kind() == rule_kind::signal_frame) {
    all_registers all;
    if (!interrupted(r, stack, all)) return false;
    r = rule_part(all);
    stack.move_to(r.sp);
    return true;
  }
  const std::uintptr_t record = r.fp;
  std::uintptr_t fp = 0;
  std::uintptr_t ra = 0;
  if (q.kind() != rule_kind::linked || record % 8 != 0 || !read_above_sp(r.sp, record, stack, fp) ||
      !read_above_sp(r.sp, record + 8, stack, ra)) {
    return false;
  }
  r = {plain_code_address(ra), record + 16, fp};
  return true;
}

// After a linked step, the true sp may be higher than r.sp. A frame record tells where its frame
// is. `q`: the rule of the frame in hand, a return address.
inline void correct_sp(rule q, registers& r) noexcept {
  if (!q.is_frame() || q.from_fp() || !saves_fp(q) || q.ra_is_in_lr()) return;
  const std::uintptr_t sp = r.fp + q.lowest() - q.cfa_offset();
  // A frame record lies above the known lower bound; below it, fp is something else.
  if (sp > r.sp && sp <= r.fp) r.sp = sp;
}

// The caller's registers if `ra`, its return address, is what was saved at `at`. `own` is the
// function's rule, `r` its registers.
template <class Stack>
registers caller_of(rule own, const registers& r, std::uintptr_t at, std::uintptr_t ra,
                    Stack& stack) noexcept {
  if (!own.is_frame() || own.ra_is_in_lr()) return {ra, (at + 15) & ~std::uintptr_t{15}, r.fp};
  const bool saved = saves_fp(own) && at - r.sp >= 8;
  return {ra, at + own.ra_below(), saved ? stack.load(at - 8) : r.fp};
}

}  // namespace whence::inline v1::unwind

#endif  // defined(__aarch64__)

#endif  // WHENCE_UNWIND_AARCH64_RULE_HPP
