// SPDX-License-Identifier: Apache-2.0
//
// 128 bits that stand for a stack. The table compares nothing else, so that a lookup reads one line
// of a bucket however deep its stack: with n distinct stacks the odds that any two are ever taken
// for one are about n^2 / 2^129, 10^-26 for a million.
//
//   two lanes of 64 bits, each fed with every address:   lane = rotl(lane ^ pc, r) * k
//   the end mixes them crosswise (W. Wang's multiply-fold), so that each half depends on both.
//
// A step is one rotation and one multiplication, a bijection of pc: two stacks that differ in one
// address never meet. Signal-safe. Cost: 5 cycles of latency a frame.
#ifndef WHENCE_STACK_HASH_HPP
#define WHENCE_STACK_HASH_HPP

#include <bit>
#include <cstddef>
#include <cstdint>

namespace whence::inline v1::stack {

struct hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const hash128&, const hash128&) = default;
};

class hasher {
 public:
  void add(std::uint64_t word) noexcept {
    a_ = std::rotl(a_ ^ word, 29) * 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
    b_ = std::rotl(b_ ^ word, 37) * 0xd6e8feb86659fd93;  // an odd constant with good avalanche
  }

  hash128 finish() const noexcept {
    return {fold(a_ ^ 0xa0761d6478bd642f, b_ ^ 0xe7037ed1a0b428db) ^ b_,
            fold(b_ ^ 0x8ebc6af09c88c6e3, a_ ^ 0x589965cc75374cc3) ^ a_};
  }

 private:
  static std::uint64_t fold(std::uint64_t x, std::uint64_t y) noexcept {
    __extension__ using wide = unsigned __int128;
    const wide product = wide{x} * y;
    return static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product);
  }

  std::uint64_t a_ = 0x243f6a8885a308d3;  // digits of pi
  std::uint64_t b_ = 0x13198a2e03707344;
};

}  // namespace whence::inline v1::stack

#endif  // WHENCE_STACK_HASH_HPP
