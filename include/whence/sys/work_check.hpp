// SPDX-License-Identifier: Apache-2.0
//
// Ends long work whose result is no longer wanted. Whatever goes over all rows of a profile before
// the first byte of its result is there makes a step for each row:
//
//   for (const profile_row& row : rows) {
//     check.step();  // throws std::errc::operation_canceled
//     ...
//   }
//
// One step in 1024 asks; a step between takes a nanosecond. Without exceptions the work goes on,
// and ends at the first byte, which is refused.
#ifndef WHENCE_SYS_WORK_CHECK_HPP
#define WHENCE_SYS_WORK_CHECK_HPP

#include <cstdint>
#include <system_error>

namespace whence::inline v1::sys {

class work_check {
 public:
  static constexpr std::uint32_t steps_between = 1024;

  work_check() noexcept = default;  // the result is always wanted

  // `is_wanted` is called with `context`, which outlives this and its copies.
  work_check(bool (*is_wanted)(const void*), const void* context) noexcept
      : is_wanted_(is_wanted), context_(context) {}

  // For work of a microsecond or less.
  void step() {
    if (++steps_ % steps_between == 0) ask();
  }

  // For work that takes longer.
  void ask() const {
#if defined(__cpp_exceptions)
    if (is_wanted_ != nullptr && !is_wanted_(context_)) {
      throw std::system_error(std::make_error_code(std::errc::operation_canceled));
    }
#endif
  }

 private:
  bool (*is_wanted_)(const void*) = nullptr;
  const void* context_ = nullptr;
  std::uint32_t steps_ = 0;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_WORK_CHECK_HPP
