// SPDX-License-Identifier: Apache-2.0
//
// How one frame leads to its caller's, in 32 bits. *(a) is the word at a; CFA is the caller's sp.
//
//   frame         CFA = sp + 8n       RA = *(CFA - 8)    fp = fp  or  *(CFA - 8m)
//                 CFA = fp + 8n       RA = *(CFA - 8)    fp = fp  or  *(CFA - 8m)
//   aligned       CFA = *(fp + 8n)    RA = *(CFA - 8)    fp = *(fp)        (realigned stack: GCC)
//   indirect      CFA = *(sp + 8n)+8  RA = *(CFA - 8)    fp = fp  or  *(CFA - 8m)    (OpenSSL's)
//   signal_frame  everything from the ucontext_t at sp: the RA is an interrupted instruction
//   linked        CFA = fp + 16       RA = *(fp + 8)     fp = *(fp)  (no call-frame information)
//   outermost     there is no caller
//   exact         none of these: by the DWARF itself
//   elsewhere     the code can be unloaded: the rule is filed under a name that cannot be reused
//
//   frame:  | n, 16 | m, 14 | 1 | from fp, 1 |          m = 1: fp = fp
//   others: | n, 14 (signed) | m, 13 | kind, 3 | 0 | 0 |
//
// A rule reads above sp, except an fp that was just popped: in an epilogue it is still described as
// saved, in what is now the red zone. 0 means: no rule.
#ifndef WHENCE_UNWIND_X86_64_RULE_HPP
#define WHENCE_UNWIND_X86_64_RULE_HPP

#include <cstddef>
#include <cstdint>

#include <whence/unwind/walk/read_above_sp.hpp>
#include <whence/unwind/x86_64/registers.hpp>

namespace whence::inline v1::unwind {

enum class rule_kind : unsigned char {
  none,
  aligned,
  indirect,
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

  // `fp_slot` is m.
  static constexpr rule frame(bool from_fp, std::int64_t cfa_offset,
                              std::int64_t fp_slot) noexcept {
    const bool fits = cfa_offset >= 8 && cfa_offset % 8 == 0 && cfa_offset < (8 << 16) &&
                      fp_slot >= 1 && fp_slot < (1 << 14) && 8 * fp_slot <= cfa_offset + red_zone;
    if (!fits) return of(rule_kind::exact);
    return rule(static_cast<std::uint64_t>(cfa_offset / 8) << 48 |
                static_cast<std::uint64_t>(fp_slot) << 34 | frame_bit | (from_fp ? fp_bit : 0));
  }
  static constexpr rule of(rule_kind kind, std::int64_t offset = 0,
                           std::int64_t fp_slot = unchanged_fp) noexcept {
    const bool fits = offset % 8 == 0 && offset / 8 >= -(1 << 13) && offset / 8 < (1 << 13) &&
                      fp_slot >= 1 && fp_slot < (1 << 13);
    if (!fits) return of(rule_kind::exact);
    return rule(static_cast<std::uint64_t>(offset / 8) << 50 |
                static_cast<std::uint64_t>(fp_slot) << 37 | static_cast<std::uint64_t>(kind) << 34);
  }
  static constexpr std::int64_t unchanged_fp = 1;
  static constexpr std::int64_t red_zone = 128;  // below sp, still the function's own (3.2.2)

  constexpr explicit operator bool() const noexcept { return (word_ & bits) != 0; }
  constexpr bool is_frame() const noexcept { return (word_ & frame_bit) != 0; }
  constexpr rule_kind kind() const noexcept {
    return is_frame() ? rule_kind::frame : static_cast<rule_kind>(word_ >> 34 & 7);
  }

  constexpr bool from_fp() const noexcept { return (word_ & fp_bit) != 0; }
  constexpr std::uintptr_t cfa_offset() const noexcept { return (word_ >> 48) * 8; }
  constexpr std::uintptr_t fp_offset() const noexcept { return word_ >> 31 & 0x1fff8; }

  constexpr std::uintptr_t rare_offset() const noexcept {
    return static_cast<std::uintptr_t>((static_cast<std::int64_t>(word_) >> 50) * 8);
  }
  constexpr std::uintptr_t rare_fp_offset() const noexcept { return word_ >> 34 & 0xfff8; }

  friend constexpr bool operator==(rule a, rule b) noexcept {
    return ((a.word_ ^ b.word_) & bits) == 0;
  }

 private:
  static constexpr std::uint64_t fp_bit = std::uint64_t{1} << 32;
  static constexpr std::uint64_t frame_bit = std::uint64_t{2} << 32;
  constexpr explicit rule(std::uint64_t word) noexcept : word_(word) {}
  std::uint64_t word_ = 0;
};

// Requires: a frame rule.
constexpr bool saves_fp(rule q) noexcept {
  return q.fp_offset() != 8 * rule::unchanged_fp;
}

// Where a frame rule that led to `cfa` found the RA, and fp if it saves that.
constexpr std::uintptr_t saved_ra(rule, std::uintptr_t cfa) noexcept {
  return cfa - 8;
}
constexpr std::uintptr_t saved_fp(rule q, std::uintptr_t cfa) noexcept {
  return cfa - q.fp_offset();
}

// The rule of a function that has not made a frame.
inline constexpr rule leaf_rule = rule::frame(false, 8, rule::unchanged_fp);

// Climbs by a frame rule; false if that would leave the stack. `Stack` is like stack_memory.
template <class Stack>
[[gnu::always_inline]] inline bool climb(rule q, registers& r, Stack& stack) noexcept {
  const std::uintptr_t base = q.from_fp() ? r.fp : r.sp;
  const std::uintptr_t cfa = base + q.cfa_offset();
  // Computed modulo 2^64: a base below sp rises too little, or by more than there is room.
  const std::uintptr_t rise = cfa - r.sp;
  if (rise < q.fp_offset()) [[unlikely]] {
    const std::uintptr_t below = q.fp_offset() - rise;
    if (q.from_fp() || below > rule::red_zone || !stack.can_read(r.sp - below)) return false;
  }
  if (rise > stack.end() - r.sp && !(cfa > r.sp && stack.reach(cfa))) [[unlikely]]
    return false;
  const std::uintptr_t saved = stack.load(cfa - q.fp_offset());
  r.fp = saves_fp(q) ? saved : r.fp;
  r.pc = stack.load(cfa - 8);
  r.sp = cfa;
  return true;
}

// Reads all interrupted registers from the frame of the signal handler's caller.
template <class Stack>
bool interrupted(const registers& r, Stack& stack, all_registers& all) noexcept {
  const std::uintptr_t gregs = r.sp + offsetof(ucontext_t, uc_mcontext.gregs);
  for (int i = 0; i < all_registers::count; ++i) {
    const auto at = gregs + 8 * static_cast<std::uintptr_t>(greg_of[i]);
    if (!read_above_sp(r.sp, at, stack, all.value[i])) return false;
  }
  return true;
}

// Climbs by a rule with a fixed layout that is not a frame. Requires: aligned, indirect, linked or
// signal_frame.
template <class Stack>
bool climb_rare(rule q, registers& r, Stack& stack) noexcept {
  std::uintptr_t cfa = 0;
  std::uintptr_t fp = r.fp;
  std::uintptr_t ra = 0;
  switch (q.kind()) {
    case rule_kind::aligned:
      if (!read_above_sp(r.sp, r.fp + q.rare_offset(), stack, cfa)) return false;
      if (!read_above_sp(r.sp, r.fp, stack, fp)) return false;
      break;
    case rule_kind::indirect:
      if (!read_above_sp(r.sp, r.sp + q.rare_offset(), stack, cfa)) return false;
      cfa += 8;
      if (q.rare_fp_offset() != 8 && !read_above_sp(r.sp, cfa - q.rare_fp_offset(), stack, fp)) {
        return false;
      }
      break;
    case rule_kind::linked:
      cfa = r.fp + 16;
      if (!read_above_sp(r.sp, r.fp, stack, fp)) return false;
      break;
    case rule_kind::signal_frame: {
      all_registers all;
      if (!interrupted(r, stack, all)) return false;
      r = rule_part(all);
      stack.move_to(r.sp);
      return true;
    }
    default:
      return false;
  }
  if (cfa <= r.sp || !read_above_sp(r.sp, cfa - 8, stack, ra)) return false;
  r = {ra, cfa, fp};
  return true;
}

// After a linked step, sp is right already.
inline void correct_sp(rule, registers&) noexcept {}

// The caller's registers if `ra`, its return address, is what was saved at `at`. `own` is the
// function's rule, `r` its registers.
template <class Stack>
registers caller_of(rule own, const registers& r, std::uintptr_t at, std::uintptr_t ra,
                    Stack& stack) noexcept {
  const std::uintptr_t cfa = at + 8;
  const bool saved = own.is_frame() && saves_fp(own) && own.fp_offset() <= cfa - r.sp;
  return {ra, cfa, saved ? stack.load(cfa - own.fp_offset()) : r.fp};
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_RULE_HPP
