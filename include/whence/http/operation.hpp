// SPDX-License-Identifier: Apache-2.0
//
// A request on its way: what is answered at once, or a window that is open until finish().
#ifndef WHENCE_HTTP_OPERATION_HPP
#define WHENCE_HTTP_OPERATION_HPP

#include <atomic>
#include <chrono>
#include <memory>
#include <system_error>
#include <utility>

#include <whence/http/answers.hpp>
#include <whence/http/of_process.hpp>
#include <whence/http/request.hpp>
#include <whence/sys/as_error.hpp>

namespace whence::inline v1::http {

// One of the windows that may be open at once in the process.
class window_slot {
 public:
  window_slot() noexcept = default;  // none
  // Throws: std::bad_alloc.
  explicit window_slot(int most) {
    std::atomic<int>& open = of_process<std::atomic<int>>();
    // One that is refused must not take the last place, not even for a moment.
    int now = open.load();
    while (now < most && open_ == nullptr) {
      if (open.compare_exchange_weak(now, now + 1)) open_ = &open;
    }
  }
  window_slot(window_slot&& other) noexcept : open_(std::exchange(other.open_, nullptr)) {}
  window_slot& operator=(window_slot&&) = delete;
  ~window_slot() {
    if (open_ != nullptr) open_->fetch_sub(1);
  }
  explicit operator bool() const noexcept { return open_ != nullptr; }

  // Throws: std::bad_alloc.
  static int open() { return of_process<std::atomic<int>>().load(); }

 private:
  std::atomic<int>* open_ = nullptr;  // how many are
};

// An open window. Its destructor ends it.
struct pending {
  pending() = default;
  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;
  virtual ~pending() = default;
  virtual response finish() = 0;
};

// Movable. Thread-safety: one thread at a time, but any.
class operation {
 public:
  operation(response ready) : ready_(std::move(ready)) {}

  // As HEAD is answered whose GET opens a window: nobody knows how long that will be.
  static operation of_unknown_length(response ready) {
    operation it(std::move(ready));
    it.ready_.body.clear();
    it.is_length_known_ = false;
    return it;
  }

  // `head`: has the headers its answer will have.
  operation(std::unique_ptr<pending> window, window_slot slot, std::chrono::seconds length,
            response head)
      : ready_(std::move(head)),
        window_(std::move(window)),
        slot_(std::move(slot)),
        delay_(length) {}

  // As HEAD is answered. Requires: there is no window.
  void drop_body() {
    if (is_length_known_) ready_.content_length = ready_.body.size();
    ready_.body.clear();
  }

  // How long to wait before finish(). 0: it is answered at once. Cost: finish() writes the profile,
  // names and gzip included, as begin() does where there is no window: milliseconds, in a large
  // program seconds, of the calling thread. A loop that may not stop so long gives both to a
  // worker.
  std::chrono::nanoseconds delay() const noexcept { return delay_; }

  // Status and headers of the answer, for servers that send them before its body; a window that
  // then cannot be shown has no body.
  const response& head() const noexcept { return ready_; }

  // The answer; a window that is finished early is as long as it was. Requires: called once. Where
  // the client has gone, destroy the operation instead.
  response finish() {
    if (window_ == nullptr) return std::move(ready_);
    const window_slot over(std::move(slot_));  // the client may take its time
    response result;
    const std::error_code error = sys::as_error([&] {
      result = window_->finish();
      return std::error_code{};
    });
    window_.reset();
    return error ? failure(error) : result;
  }

 private:
  response ready_;
  std::unique_ptr<pending> window_;
  window_slot slot_;
  std::chrono::nanoseconds delay_{0};
  bool is_length_known_ = true;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_OPERATION_HPP
