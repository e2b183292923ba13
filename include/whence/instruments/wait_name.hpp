// SPDX-License-Identifier: Apache-2.0
//
// The name of a lock, or of another thing that threads wait for, as a label of its events.
//
// A name given at run time is copied, so its text may be made on the spot. A name in a constant
// expression is a literal, and is copied when its first event needs it, so that a named lock can be
// constant-initialized. If no module of the process reads profiles when a name is given at run
// time, the name is lost.
#ifndef WHENCE_INSTRUMENTS_WAIT_NAME_HPP
#define WHENCE_INSTRUMENTS_WAIT_NAME_HPP

#include <cstdint>
#include <string_view>

#include <whence/instruments/fixed_string.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/sys/atomic_word.hpp>

namespace whence::inline v1::instruments {

template <fixed_string Key>
class wait_name {
 public:
  constexpr wait_name() noexcept = default;
  // An empty text is no name.
  constexpr explicit wait_name(std::string_view name) noexcept
      : name_(name.empty() ? nullptr : name.data()),
        size_(static_cast<std::uint32_t>(name.size())) {
    if (!__builtin_is_constant_evaluated() && name_ != nullptr) {
      intern();
      name_ = nullptr;  // the caller's text may go away
    }
  }
  wait_name(const wait_name&) = delete;
  wait_name& operator=(const wait_name&) = delete;

  // The number of the label set; 0: none.
  std::uint32_t labels() const noexcept {
    const std::uint32_t known = labels_.load(sys::relaxed);
    return known != 0 || name_ == nullptr ? known : intern();
  }

 private:
  [[gnu::noinline, gnu::cold]] std::uint32_t intern() const noexcept {
    const recorder* const r = recorder_here();
    if (r == nullptr) return 0;
    const std::uint32_t id = r->name_wait(Key.text, name_, size_);
    labels_.store(id, sys::relaxed);
    return id;
  }

  const char* name_ = nullptr;
  std::uint32_t size_ = 0;
  mutable sys::atomic_word<std::uint32_t> labels_{0};
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_WAIT_NAME_HPP
