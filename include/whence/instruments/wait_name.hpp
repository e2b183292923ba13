// SPDX-License-Identifier: Apache-2.0
//
// The name a lock or another thing to wait for was given, as a label of its events.
//
// A name given at run time is copied; one in a constant expression is a literal, and is copied when
// its first event needs it, so that a named lock can be constant-initialized.
#ifndef WHENCE_INSTRUMENTS_WAIT_NAME_HPP
#define WHENCE_INSTRUMENTS_WAIT_NAME_HPP

#include <atomic>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <whence/profile/attach.hpp>
#include <whence/profile/fixed_string.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/stack/label_sets.hpp>

namespace whence::inline v1::instruments {

template <fixed_string Key>
class wait_name {
 public:
  constexpr wait_name() noexcept = default;
  // nullptr and "" are no name.
  constexpr explicit wait_name(const char* name) noexcept
      : name_(name != nullptr && *name != '\0' ? name : nullptr) {
    if (!std::is_constant_evaluated() && name_ != nullptr) {
      intern();
      name_ = nullptr;  // the caller's text may go away
    }
  }
  wait_name(const wait_name&) = delete;
  wait_name& operator=(const wait_name&) = delete;

  // The number of the label set.
  std::uint32_t labels() const noexcept {
    const std::uint32_t known = labels_.load(std::memory_order_relaxed);
    return known != stack::label_sets::none || name_ == nullptr ? known : intern();
  }

 private:
  std::uint32_t intern() const noexcept {
    core::process_state* const s = core::state();
    if (s == nullptr) return stack::label_sets::none;
    const stack::label l{Key.view(), name_};
    const std::uint32_t id = s->labels.intern({&l, 1}, stack::label_sets::most);
    labels_.store(id, std::memory_order_relaxed);
    return id;
  }

  const char* name_ = nullptr;
  mutable std::atomic<std::uint32_t> labels_{stack::label_sets::none};
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_WAIT_NAME_HPP
