// SPDX-License-Identifier: Apache-2.0
//
// The rates that a sampler's sessions asked for; it runs at the highest. Requires: one caller at a
// time.
#ifndef WHENCE_SAMPLERS_WISHES_HPP
#define WHENCE_SAMPLERS_WISHES_HPP

#include <cstdint>

namespace whence::inline v1::samplers {

// One session's rate, in the session's own memory.
struct wish {
  int hz = 0;
  wish* next = nullptr;
};

class wishes {
 public:
  void add(wish& w) noexcept {
    w.next = first_;
    first_ = &w;
  }
  void remove(const wish& w) noexcept {
    for (wish** at = &first_; *at != nullptr; at = &(*at)->next) {
      if (*at == &w) {
        *at = w.next;
        return;
      }
    }
  }
  bool empty() const noexcept { return first_ == nullptr; }

  // Nanoseconds between two samples at the highest rate. Requires: not empty.
  std::int64_t period_ns() const noexcept {
    int hz = 1;
    for (const wish* w = first_; w != nullptr; w = w->next) hz = w->hz > hz ? w->hz : hz;
    return 1'000'000'000 / hz;
  }

 private:
  wish* first_ = nullptr;
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WISHES_HPP
