// SPDX-License-Identifier: Apache-2.0
//
// The bodies of http.hpp and of the operations it hands out.
#ifndef WHENCE_IMPL_HTTP_IPP
#define WHENCE_IMPL_HTTP_IPP

#include <whence/config.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <whence/format/sink.hpp>
#include <whence/http.hpp>
#include <whence/http/access.hpp>
#include <whence/http/dispatch.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/per_process.hpp>
#include <whence/http/request.hpp>
#include <whence/http/responses.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1::http {

WHENCE_FUNCTION window_slot::window_slot(int most) {
  std::atomic<int>& open = per_process<std::atomic<int>>();
  // A window that is refused must not take the last place, not even for a moment.
  int now = open.load();
  while (now < most && open_ == nullptr) {
    if (open.compare_exchange_weak(now, now + 1)) open_ = &open;
  }
}

WHENCE_FUNCTION int window_slot::open() {
  return per_process<std::atomic<int>>().load();
}

WHENCE_FUNCTION operation::operation(response ready) : ready_(std::move(ready)) {}

WHENCE_FUNCTION operation operation::of_unknown_length(response_head head) {
  operation it(response{std::move(head)});
  it.is_for_head_ = true;
  it.is_length_known_ = false;
  return it;
}

WHENCE_FUNCTION operation::operation(std::unique_ptr<pending> later, response_head head)
    : ready_{std::move(head)}, later_(std::move(later)) {}

WHENCE_FUNCTION operation::operation(std::unique_ptr<pending> window, window_slot slot,
                                     std::chrono::seconds length, response_head head)
    : ready_{std::move(head)}, later_(std::move(window)), slot_(std::move(slot)), delay_(length) {}

WHENCE_FUNCTION operation::operation(operation&&) noexcept = default;

WHENCE_FUNCTION operation::~operation() = default;

// Passes a body on, and the question whether it is wanted.
template <class Write, class IsWanted>
struct body_passage {
  Write write;
  IsWanted wanted;
  std::error_code operator()(std::span<const std::byte> bytes) const { return write(bytes); }
  bool is_wanted() const { return wanted(); }
};

WHENCE_FUNCTION std::error_code operation::finish(response_head& head, sink body) {
  std::size_t length = 0;
  const auto pass_on = [&](std::span<const std::byte> bytes) {
    if (length == 0) {
      head = ready_;
      slot_.release();  // a slow client must not hold the place
    }
    length += bytes.size();
    return is_for_head_ ? std::error_code() : body.write(bytes);
  };
  head = ready_;
  std::error_code error;
  if (later_ != nullptr) {
    const auto is_wanted = [&] { return (!cancelled_ || !cancelled_()) && body.is_wanted(); };
    sink out(body_passage<decltype(pass_on), decltype(is_wanted)>{pass_on, is_wanted});
    error = sys::catch_error([&] { return later_->write(out); });
    later_.reset();
  }
  slot_.release();
  if (error && length != 0) return error;
  if (error) ready_ = failure(error);
  if (!ready_.body.empty()) error = pass_on(std::as_bytes(std::span(ready_.body)));
  if (is_for_head_ && is_length_known_) head.content_length = length;
  return error && length != 0 ? error : body.finish();
}

WHENCE_FUNCTION response operation::finish() {
  response result;
  const auto collect = [&](std::span<const std::byte> bytes) {
    if (bytes.size() > most_ - result.body.size()) {
      return std::make_error_code(std::errc::file_too_large);
    }
    result.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return std::error_code{};
  };
  if (is_ready() && !is_for_head_) return std::move(ready_);
  const std::error_code error = finish(result, collect);
  return error ? failure(error) : result;
}

WHENCE_FUNCTION void check(const options& o) {
  if (o.prefix.starts_with('/') && o.prefix.ends_with('/')) return;
  sys::throw_or_abort<std::invalid_argument>("http::options: the prefix \"" + o.prefix +
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

// Waits for the end of the window. False if the client has gone.
inline bool wait_for(const operation& it, const request& asked) {
  const auto end = std::chrono::steady_clock::now() + it.delay();
  constexpr std::chrono::milliseconds look_again{50};
  for (auto now = end - it.delay(); now < end; now = std::chrono::steady_clock::now()) {
    if (asked.cancelled && asked.cancelled()) return false;
    std::this_thread::sleep_for(
        asked.cancelled ? std::min<std::chrono::nanoseconds>(end - now, look_again) : end - now);
  }
  return true;
}

WHENCE_FUNCTION response handle(const request& asked, const options& o) {
  operation it = begin(asked, o);
  it.set_cancelled(asked.cancelled);
  return wait_for(it, asked) ? it.finish() : failure(500, "context canceled");
}

WHENCE_FUNCTION std::error_code handle(const request& asked, response_head& head, sink body,
                                       const options& o) {
  operation it = begin(asked, o);
  it.set_cancelled(asked.cancelled);
  if (wait_for(it, asked)) return it.finish(head, std::move(body));
  return operation(failure(500, "context canceled")).finish(head, std::move(body));
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_IMPL_HTTP_IPP
