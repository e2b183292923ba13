// SPDX-License-Identifier: Apache-2.0
//
// The bodies of http.hpp and of the operations it hands out.
#ifndef WHENCE_IMPL_HTTP_IPP
#define WHENCE_IMPL_HTTP_IPP

#include <whence/config.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <whence/http.hpp>
#include <whence/http/access.hpp>
#include <whence/http/answers.hpp>
#include <whence/http/begin.hpp>
#include <whence/http/of_process.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/request.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/raise.hpp>

namespace whence::inline v1::http {

WHENCE_FUNCTION window_slot::window_slot(int most) {
  std::atomic<int>& open = of_process<std::atomic<int>>();
  // A window that is refused must not take the last place, not even for a moment.
  int now = open.load();
  while (now < most && open_ == nullptr) {
    if (open.compare_exchange_weak(now, now + 1)) open_ = &open;
  }
}

WHENCE_FUNCTION int window_slot::open() {
  return of_process<std::atomic<int>>().load();
}

WHENCE_FUNCTION operation::operation(response ready) : ready_(std::move(ready)) {}

WHENCE_FUNCTION operation operation::of_unknown_length(response ready) {
  operation it(std::move(ready));
  it.ready_.body.clear();
  it.is_length_known_ = false;
  return it;
}

WHENCE_FUNCTION operation::operation(std::unique_ptr<pending> window, window_slot slot,
                                     std::chrono::seconds length, response head)
    : ready_(std::move(head)), window_(std::move(window)), slot_(std::move(slot)), delay_(length) {}

WHENCE_FUNCTION operation::operation(operation&&) noexcept = default;

WHENCE_FUNCTION operation::~operation() = default;

WHENCE_FUNCTION void operation::drop_body() {
  if (is_length_known_) ready_.content_length = ready_.body.size();
  ready_.body.clear();
}

WHENCE_FUNCTION response operation::finish() {
  if (window_ == nullptr) return std::move(ready_);
  const window_slot over(std::move(slot_));  // a slow client must not hold the place
  response result;
  const std::error_code error = sys::as_error([&] {
    result = window_->finish();
    return std::error_code{};
  });
  window_.reset();
  return error ? failure(error) : result;
}

WHENCE_FUNCTION void check(const options& o) {
  if (o.prefix.starts_with('/') && o.prefix.ends_with('/')) return;
  sys::raise<std::invalid_argument>("http::options: the prefix \"" + o.prefix +
                                    "\" does not begin and end with a slash");
}

WHENCE_FUNCTION operation begin(const request& asked, const options& o) {
  check(o);
  if (std::optional<response> refused = refusal(asked, o)) {
    operation it(std::move(*refused));
    if (asked.method == "HEAD") it.drop_body();
    return it;
  }
  return begin_allowed(asked, o);
}

WHENCE_FUNCTION response handle(const request& asked, const options& o) {
  operation it = begin(asked, o);
  const auto end = std::chrono::steady_clock::now() + it.delay();
  constexpr std::chrono::milliseconds look_again{50};
  for (auto now = end - it.delay(); now < end; now = std::chrono::steady_clock::now()) {
    if (asked.cancelled && asked.cancelled()) return failure(500, "context canceled");
    std::this_thread::sleep_for(
        asked.cancelled ? std::min<std::chrono::nanoseconds>(end - now, look_again) : end - now);
  }
  return it.finish();
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_IMPL_HTTP_IPP
