// SPDX-License-Identifier: Apache-2.0
//
// Evaluates a DWARF expression (DWARF 5 section 2.5) on a small stack. `Machine` decides what a
// value is: a number if all registers are known, or a formula, for a rule that has to hold whatever
// the registers are.
//
//   typename Machine::value
//   value constant(std::uint64_t)
//   bool reg(number, offset, value&)          register + offset
//   bool load(value&, bytes)                  the memory it points to
//   bool apply(op, value& a, value b)         a = a op b
//
// False from any of them ends the evaluation. There are no jumps, so it ends with its bytes.
// Signal-safe if Machine is. Never allocates.
#ifndef WHENCE_UNWIND_CFI_EXPRESSION_HPP
#define WHENCE_UNWIND_CFI_EXPRESSION_HPP

#include <cstdint>

#include <whence/unwind/cfi/byte_cursor.hpp>

namespace whence::inline v1::unwind {

namespace op {
inline constexpr std::uint8_t bit_and = 0x1a;
inline constexpr std::uint8_t minus = 0x1c;
inline constexpr std::uint8_t times = 0x1e;
inline constexpr std::uint8_t bit_or = 0x21;
inline constexpr std::uint8_t plus = 0x22;
inline constexpr std::uint8_t shift_left = 0x24;
inline constexpr std::uint8_t shift_right = 0x25;
inline constexpr std::uint8_t bit_xor = 0x27;
inline constexpr std::uint8_t equal = 0x29;
inline constexpr std::uint8_t greater_equal = 0x2a;
inline constexpr std::uint8_t greater = 0x2b;
inline constexpr std::uint8_t less_equal = 0x2c;
inline constexpr std::uint8_t less = 0x2d;
inline constexpr std::uint8_t not_equal = 0x2e;
}  // namespace op

// Computes a op b on numbers; false for an operator that is not among the above.
inline bool compute(std::uint8_t which, std::uint64_t& a, std::uint64_t b) noexcept {
  const auto x = static_cast<std::int64_t>(a);
  const auto y = static_cast<std::int64_t>(b);
  switch (which) {
    case op::bit_and:
      a &= b;
      return true;
    case op::minus:
      a -= b;
      return true;
    case op::times:
      a *= b;
      return true;
    case op::bit_or:
      a |= b;
      return true;
    case op::plus:
      a += b;
      return true;
    case op::shift_left:
      a = b < 64 ? a << b : 0;
      return true;
    case op::shift_right:
      a = b < 64 ? a >> b : 0;
      return true;
    case op::bit_xor:
      a ^= b;
      return true;
    case op::equal:
      a = x == y;
      return true;
    case op::greater_equal:
      a = x >= y;
      return true;
    case op::greater:
      a = x > y;
      return true;
    case op::less_equal:
      a = x <= y;
      return true;
    case op::less:
      a = x < y;
      return true;
    case op::not_equal:
      a = x != y;
      return true;
    default:
      return false;
  }
}

template <class Machine>
class expression {
 public:
  using value = typename Machine::value;

  explicit expression(Machine& machine) noexcept : machine_(machine) {}

  // `pushed`: on the stack at the start, if not nullptr (a register's expression gets the CFA).
  bool evaluate(byte_cursor c, value& result, const value* pushed = nullptr) noexcept {
    depth_ = 0;
    if (pushed != nullptr && !push(*pushed)) return false;
    while (!c.at_end()) {
      if (!step(c)) return false;
    }
    if (!c.ok() || depth_ == 0) return false;
    result = stack_[depth_ - 1];
    return true;
  }

 private:
  static constexpr int capacity = 16;

  bool step(byte_cursor& c) noexcept {
    const std::uint8_t what = c.byte();
    if (what >= 0x30 && what < 0x50) return push(machine_.constant(what - 0x30U));  // lit0 ...
    if (what >= 0x70 && what < 0x90) return push_register(what - 0x70U, c.sleb());  // breg0 ...
    switch (what) {
      case 0x03:
        return push(machine_.constant(c.fixed<std::uintptr_t>()));
      case 0x06:
        return depth_ > 0 && machine_.load(stack_[depth_ - 1], sizeof(std::uintptr_t));
      case 0x08:
        return push(machine_.constant(c.fixed<std::uint8_t>()));
      case 0x09:
        return push_signed(c.fixed<std::int8_t>());
      case 0x0a:
        return push(machine_.constant(c.fixed<std::uint16_t>()));
      case 0x0b:
        return push_signed(c.fixed<std::int16_t>());
      case 0x0c:
        return push(machine_.constant(c.fixed<std::uint32_t>()));
      case 0x0d:
        return push_signed(c.fixed<std::int32_t>());
      case 0x0e:
        return push(machine_.constant(c.fixed<std::uint64_t>()));
      case 0x0f:
        return push_signed(c.fixed<std::int64_t>());
      case 0x10:
        return push(machine_.constant(c.uleb()));
      case 0x11:
        return push_signed(c.sleb());
      case 0x12:
        return depth_ > 0 && push(stack_[depth_ - 1]);  // dup
      case 0x13:
        return depth_-- > 0;  // drop
      case 0x14:
        return depth_ > 1 && push(stack_[depth_ - 2]);  // over
      case 0x16:
        return swap();
      case 0x23: {  // plus_uconst
        const value added = machine_.constant(c.uleb());
        return depth_ > 0 && machine_.apply(op::plus, stack_[depth_ - 1], added);
      }
      case 0x92: {  // bregx
        const std::uint64_t number = c.uleb();
        return push_register(number, c.sleb());
      }
      case 0x94: {  // deref_size
        const std::uint8_t bytes = c.byte();
        return depth_ > 0 && machine_.load(stack_[depth_ - 1], bytes);
      }
      case 0x96:
        return true;  // nop
      default:
        break;
    }
    if (depth_ < 2) return false;
    --depth_;
    return machine_.apply(what, stack_[depth_ - 1], stack_[depth_]);
  }

  bool push(value v) noexcept {
    if (depth_ == capacity) return false;
    stack_[depth_++] = v;
    return true;
  }
  bool push_signed(std::int64_t v) noexcept {
    return push(machine_.constant(static_cast<std::uint64_t>(v)));
  }
  bool push_register(std::uint64_t number, std::int64_t offset) noexcept {
    value v{};
    return machine_.reg(number, offset, v) && push(v);
  }
  bool swap() noexcept {
    if (depth_ < 2) return false;
    const value top = stack_[depth_ - 1];
    stack_[depth_ - 1] = stack_[depth_ - 2];
    stack_[depth_ - 2] = top;
    return true;
  }

  Machine& machine_;
  value stack_[capacity];
  int depth_ = 0;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_CFI_EXPRESSION_HPP
