// SPDX-License-Identifier: Apache-2.0
//
// The labels of a thread in one word, which a store sets and a signal handler reads:
//
//   | ticket, 44 bits | number, 20 bits |
//
// number: a set that is kept for the life of the process (tables/label_sets.hpp). It is all that
// permanent profiles know. ticket: the values that the set shows as `[other]`, for as long as there
// is room for them (tables/passing_labels.hpp); only samples show those. 0: there are none.
#ifndef WHENCE_INSTRUMENTS_LABEL_WORD_HPP
#define WHENCE_INSTRUMENTS_LABEL_WORD_HPP

#include <cstdint>

namespace whence::inline v1::instruments {

inline constexpr int label_number_bits = 20;

constexpr std::uint32_t label_number_in(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word & ((std::uint64_t{1} << label_number_bits) - 1));
}
constexpr std::uint64_t label_ticket_in(std::uint64_t word) noexcept {
  return word >> label_number_bits;
}
constexpr std::uint64_t label_word(std::uint32_t number, std::uint64_t ticket) noexcept {
  return ticket << label_number_bits | number;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_LABEL_WORD_HPP
