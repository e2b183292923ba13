// SPDX-License-Identifier: Apache-2.0
//
// The rates that a sampler's sessions asked for; it runs at the highest. Requires: one caller at a
// time.
#ifndef WHENCE_SAMPLERS_REQUESTED_RATES_HPP
#define WHENCE_SAMPLERS_REQUESTED_RATES_HPP

#include <cstdint>

namespace whence::inline v1::samplers {

// One session's rate, in the session's own memory.
struct rate_request {
  int hz = 0;
  rate_request* next = nullptr;
};

class requested_rates {
 public:
  void add(rate_request& w) noexcept {
    w.next = first_;
    first_ = &w;
  }
  void remove(const rate_request& w) noexcept {
    for (rate_request** at = &first_; *at != nullptr; at = &(*at)->next) {
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
    for (const rate_request* w = first_; w != nullptr; w = w->next) hz = w->hz > hz ? w->hz : hz;
    return 1'000'000'000 / hz;
  }

 private:
  rate_request* first_ = nullptr;
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_REQUESTED_RATES_HPP
