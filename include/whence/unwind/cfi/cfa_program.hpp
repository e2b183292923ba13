// SPDX-License-Identifier: Apache-2.0
//
// Runs the program of a CFA (call frame address: the caller's stack pointer) up to one address, and
// yields the row of the table it stands for (DWARF 5 section 6.4.2 and appendix D.6):
//
//   at this address:   CFA = register + offset      RA at CFA-8    rbp at CFA-16    rbx: as it is
//   ...
//
// `Registers` says which registers are of interest: as many slots as it has, and which slot a DWARF
// number has (-1: no slot, its rules are skipped). The fast rules use two, dwarf_walk all.
//
// Signal-safe. Never allocates. Time: linear in the length of the program.
#ifndef WHENCE_UNWIND_CFI_CFA_PROGRAM_HPP
#define WHENCE_UNWIND_CFI_CFA_PROGRAM_HPP

#include <cstddef>
#include <cstdint>

#include <whence/unwind/cfi/byte_cursor.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>

namespace whence::inline v1::unwind {

enum class register_location : unsigned char {
  unspecified,    // the program says nothing: unchanged
  undefined,      // lost; if it is the RA: there is no caller
  same,           // as it is
  at_cfa,         // in memory at CFA + value
  cfa_plus,       // it is CFA + value
  in_register,    // in register number `value`
  at_expression,  // in memory at the expression's value
  by_expression,  // it is the expression's value
};

struct register_rule {
  register_location where = register_location::unspecified;
  std::int32_t value = 0;  // bytes, a register, or an expression's distance from `origin`
};

template <class Registers>
struct cfa_row {
  bool cfa_by_expression = false;
  std::uint64_t cfa_register = 0;
  std::int64_t cfa_offset = 0;
  register_rule registers[Registers::count];
};

template <class Registers>
class cfa_program {
 public:
  using row_type = cfa_row<Registers>;

  explicit cfa_program(const fde& f) noexcept
      : origin_(f.program.position()), common_(f.common), start_(f.start) {}

  // False if the program is damaged or uses what is not supported here.
  bool run(const fde& f, std::uintptr_t address, row_type& row) noexcept {
    wanted_ = address;
    location_ = start_;
    if (!execute(f.common.program, row, nullptr)) return false;
    const row_type initial = row;
    location_ = start_;
    return execute(f.program, row, &initial);
  }

  // The bytes of an expression of the row; their bounds were checked when they were first read.
  byte_cursor expression(std::int64_t distance) const noexcept {
    const std::byte* const at = origin_ + distance;
    byte_cursor length(at, 10, 0);
    const auto size = static_cast<std::size_t>(length.uleb());
    return {length.position(), size, 0};
  }

 private:
  static constexpr int saved_rows = 4;  // compilers nest one or two

  // Requires: `initial` is the CIE's row, nullptr while its own program runs.
  bool execute(byte_cursor c, row_type& row, const row_type* initial) noexcept {
    row_type saved[saved_rows];
    int depth = 0;
    while (!c.at_end()) {
      const std::uint8_t op = c.byte();
      const std::uint8_t low = op & 0x3f;
      switch (op & 0xc0) {
        case 0x40:
          if (!advance(low)) return true;
          continue;
        case 0x80:
          set(row, low, register_location::at_cfa, factored(c.uleb()));
          continue;
        case 0xc0:
          restore(row, low, initial);
          continue;
        default:
          break;
      }
      switch (op) {
        case 0x00:
          break;    // nop
        case 0x01:  // set_loc
          if (!move_to(c.pointer(common_.pointers))) return c.ok();
          break;
        case 0x02:
          if (!advance(c.byte())) return c.ok();
          break;
        case 0x03:
          if (!advance(c.fixed<std::uint16_t>())) return c.ok();
          break;
        case 0x04:
          if (!advance(c.fixed<std::uint32_t>())) return c.ok();
          break;
        case 0x05: {  // offset_extended
          const std::uint64_t r = c.uleb();
          set(row, r, register_location::at_cfa, factored(c.uleb()));
          break;
        }
        case 0x06:
          restore(row, c.uleb(), initial);
          break;
        case 0x07:
          set(row, c.uleb(), register_location::undefined, 0);
          break;
        case 0x08:
          set(row, c.uleb(), register_location::same, 0);
          break;
        case 0x09: {  // register
          const std::uint64_t r = c.uleb();
          set(row, r, register_location::in_register, static_cast<std::int64_t>(c.uleb()));
          break;
        }
        case 0x0a:  // remember_state
          if (depth == saved_rows) return false;
          saved[depth++] = row;
          break;
        case 0x0b:  // restore_state
          if (depth == 0) return false;
          row = saved[--depth];
          break;
        case 0x0c:  // def_cfa
          row.cfa_register = c.uleb();
          row.cfa_offset = static_cast<std::int64_t>(c.uleb());
          row.cfa_by_expression = false;
          break;
        case 0x0d:  // def_cfa_register
          if (row.cfa_by_expression) return false;
          row.cfa_register = c.uleb();
          break;
        case 0x0e:  // def_cfa_offset
          if (row.cfa_by_expression) return false;
          row.cfa_offset = static_cast<std::int64_t>(c.uleb());
          break;
        case 0x0f:  // def_cfa_expression
          row.cfa_by_expression = true;
          row.cfa_offset = distance(c);
          break;
        case 0x10: {  // expression
          const std::uint64_t r = c.uleb();
          set(row, r, register_location::at_expression, distance(c));
          break;
        }
        case 0x11: {  // offset_extended_sf
          const std::uint64_t r = c.uleb();
          set(row, r, register_location::at_cfa, factored(static_cast<std::uint64_t>(c.sleb())));
          break;
        }
        case 0x12:  // def_cfa_sf
          row.cfa_register = c.uleb();
          row.cfa_offset = factored(static_cast<std::uint64_t>(c.sleb()));
          row.cfa_by_expression = false;
          break;
        case 0x13:  // def_cfa_offset_sf
          if (row.cfa_by_expression) return false;
          row.cfa_offset = factored(static_cast<std::uint64_t>(c.sleb()));
          break;
        case 0x14: {  // val_offset
          const std::uint64_t r = c.uleb();
          set(row, r, register_location::cfa_plus, factored(c.uleb()));
          break;
        }
        case 0x15: {  // val_offset_sf
          const std::uint64_t r = c.uleb();
          set(row, r, register_location::cfa_plus, factored(static_cast<std::uint64_t>(c.sleb())));
          break;
        }
        case 0x16: {  // val_expression
          const std::uint64_t r = c.uleb();
          set(row, r, register_location::by_expression, distance(c));
          break;
        }
        case 0x2d:
          break;  // AARCH64_negate_ra_state: a signed RA is stripped wherever it is read
        case 0x2e:
          c.uleb();
          break;      // GNU_args_size: only exceptions use it
        case 0x2f: {  // GNU_negative_offset_extended
          const std::uint64_t r = c.uleb();
          set(row, r, register_location::at_cfa, factored(0 - c.uleb()));
          break;
        }
        default:
          return false;
      }
      if (!fits_) return false;
    }
    return c.ok() && fits_;
  }

  // False: the row is complete, the next one begins behind the wanted address.
  bool advance(std::uint64_t units) noexcept {
    return move_to(location_ + static_cast<std::uintptr_t>(units * common_.code_alignment));
  }
  bool move_to(std::uintptr_t location) noexcept {
    location_ = location;
    return location_ <= wanted_;
  }

  std::int64_t factored(std::uint64_t units) const noexcept {
    return static_cast<std::int64_t>(units * static_cast<std::uint64_t>(common_.data_alignment));
  }

  // The distance from origin_ to an expression, whose bytes are skipped.
  std::int64_t distance(byte_cursor& c) noexcept {
    const auto away =
        reinterpret_cast<std::intptr_t>(c.position()) - reinterpret_cast<std::intptr_t>(origin_);
    c.skip(c.uleb());
    if (!c.ok()) fits_ = false;
    return away;
  }

  void set(row_type& row, std::uint64_t number, register_location where,
           std::int64_t value) noexcept {
    const int slot = Registers::slot(number);
    if (slot < 0) return;
    if (value < INT32_MIN || value > INT32_MAX) {
      fits_ = false;
      return;
    }
    row.registers[slot] = {where, static_cast<std::int32_t>(value)};
  }

  void restore(row_type& row, std::uint64_t number, const row_type* initial) noexcept {
    const int slot = Registers::slot(number);
    if (slot < 0) return;
    row.registers[slot] = initial != nullptr ? initial->registers[slot] : register_rule{};
  }

  const std::byte* origin_;
  const cie& common_;
  std::uintptr_t start_;
  std::uintptr_t wanted_ = 0;
  std::uintptr_t location_ = 0;
  bool fits_ = true;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_CFI_CFA_PROGRAM_HPP
