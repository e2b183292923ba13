// SPDX-License-Identifier: Apache-2.0
//
// The descriptors that our counters have had. A closed counter's signal may still come, and must
// not be taken for one of the program's. Lock-free; has() is signal-safe.
#ifndef WHENCE_SAMPLERS_PERF_FDS_HPP
#define WHENCE_SAMPLERS_PERF_FDS_HPP

#include <atomic>
#include <cstdint>

namespace whence::inline v1::samplers {

class perf_fds {
 public:
  // False if the number is too high to be remembered.
  bool add(int number) noexcept {
    if (!is_in_range(number)) return false;
    word(number).fetch_or(bit(number), std::memory_order_relaxed);
    return true;
  }

  bool has(int number) const noexcept {
    return is_in_range(number) &&
           (words_[number / 64].load(std::memory_order_relaxed) & bit(number)) != 0;
  }

 private:
  static constexpr int count = 1 << 14;
  static bool is_in_range(int number) noexcept { return number >= 0 && number < count; }
  static std::uint64_t bit(int number) noexcept { return std::uint64_t{1} << number % 64; }
  std::atomic<std::uint64_t>& word(int number) noexcept { return words_[number / 64]; }

  std::atomic<std::uint64_t> words_[count / 64]{};
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_PERF_FDS_HPP
