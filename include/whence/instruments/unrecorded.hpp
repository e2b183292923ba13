// SPDX-License-Identifier: Apache-2.0
//
// What an instrument is if nothing is recorded: the class of the standard library that it stands
// for, which takes the instrument's name too, and does not use it.
#ifndef WHENCE_INSTRUMENTS_UNRECORDED_HPP
#define WHENCE_INSTRUMENTS_UNRECORDED_HPP

#include <string_view>
#include <type_traits>
#include <utility>

namespace whence::inline v1::instruments {

template <class Std>
class unrecorded : public Std {
 public:
  using Std::Std;
  // A name alone does not convert.
  template <class... Arguments>
  requires std::is_constructible_v<Std, Arguments...>
  explicit(sizeof...(Arguments) == 0) constexpr unrecorded(std::string_view,
                                                           Arguments&&... arguments)
      : Std(std::forward<Arguments>(arguments)...) {}

  unrecorded() requires std::is_default_constructible_v<Std>
  = default;
  // A standard object that can be moved, as a future, becomes an instrument.
  unrecorded(Std it) noexcept requires std::is_move_constructible_v<Std> : Std(std::move(it)) {}
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_UNRECORDED_HPP
