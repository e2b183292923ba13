// SPDX-License-Identifier: Apache-2.0
//
// A request on its way: an answer that is ready, or a window that is open until finish().
#ifndef WHENCE_HTTP_OPERATION_HPP
#define WHENCE_HTTP_OPERATION_HPP

#include <atomic>
#include <memory>
#include <mutex>  // has durations without <chrono>'s calendar
#include <utility>

#include <whence/http/request.hpp>

namespace whence::inline v1::http {

// Holds one of the windows that may be open at once in the process.
class window_slot {
 public:
  window_slot() noexcept = default;  // holds no window
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
  std::atomic<int>* open_ = nullptr;  // counts the open windows
};

// An open window. Its destructor ends it.
struct pending {
  pending() = default;
  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;
  virtual ~pending() = default;
  virtual response finish() = 0;
};

// Movable. One thread at a time may use it, and each use may be in another thread.
class operation {
 public:
  operation(response ready);

  // Answers HEAD for a GET that would open a window: the length of its body is not known.
  static operation of_unknown_length(response ready);

  // `head` has the headers of the future answer.
  operation(std::unique_ptr<pending> window, window_slot slot, std::chrono::seconds length,
            response head);

  operation(operation&&) noexcept;
  ~operation();

  // Makes the answer one to HEAD. Requires: no window is open.
  void drop_body();

  // How long to wait before finish(); 0 if the answer is ready. Cost: finish() writes the profile,
  // with names and gzip, in the calling thread, as begin() does if there is no window. That takes
  // milliseconds, in a large program seconds. An event loop that may not stop so long gives both
  // calls to a worker.
  std::chrono::nanoseconds delay() const noexcept { return delay_; }

  // Status and headers of the answer, for servers that send them before the body. If the window
  // cannot be shown later, the body is empty.
  const response& head() const noexcept { return ready_; }

  // The answer. A window that is finished early covers the time until now. Requires: called once.
  // If the client has gone, destroy the operation instead.
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
