// SPDX-License-Identifier: Apache-2.0
//
// A request on its way: what is answered at once, or a window that is open until finish().
#ifndef WHENCE_HTTP_OPERATION_HPP
#define WHENCE_HTTP_OPERATION_HPP

#include <atomic>
#include <memory>
#include <mutex>  // durations, without the calendar of <chrono>
#include <utility>

#include <whence/http/request.hpp>

namespace whence::inline v1::http {

// One of the windows that may be open at once in the process.
class window_slot {
 public:
  window_slot() noexcept = default;  // none
  // Throws: std::bad_alloc.
  explicit window_slot(int most);
  window_slot(window_slot&& other) noexcept : open_(std::exchange(other.open_, nullptr)) {}
  window_slot& operator=(window_slot&&) = delete;
  ~window_slot() {
    if (open_ != nullptr) open_->fetch_sub(1);
  }
  explicit operator bool() const noexcept { return open_ != nullptr; }

  // Throws: std::bad_alloc.
  static int open();

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
  operation(response ready);

  // As HEAD is answered whose GET opens a window: nobody knows how long that will be.
  static operation of_unknown_length(response ready);

  // `head`: has the headers its answer will have.
  operation(std::unique_ptr<pending> window, window_slot slot, std::chrono::seconds length,
            response head);

  operation(operation&&) noexcept;
  ~operation();

  // As HEAD is answered. Requires: there is no window.
  void drop_body();

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
  response finish();

 private:
  response ready_;
  std::unique_ptr<pending> window_;
  window_slot slot_;
  std::chrono::nanoseconds delay_{0};
  bool is_length_known_ = true;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_OPERATION_HPP
