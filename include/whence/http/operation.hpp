// SPDX-License-Identifier: Apache-2.0
//
// A request on its way: an answer that is ready, or one that is made when it is sent.
#ifndef WHENCE_HTTP_OPERATION_HPP
#define WHENCE_HTTP_OPERATION_HPP

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>  // has durations without <chrono>'s calendar
#include <system_error>
#include <utility>

#include <whence/format/sink.hpp>
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
  ~window_slot() { release(); }
  void release() noexcept {
    if (open_ != nullptr) std::exchange(open_, nullptr)->fetch_sub(1);
  }
  explicit operator bool() const noexcept { return open_ != nullptr; }

  // Throws: std::bad_alloc.
  static int open();

 private:
  std::atomic<int>* open_ = nullptr;  // counts the open windows
};

// An answer that is made when it is sent: a profile, or a window, which is open until then.
struct pending {
  pending() = default;
  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;
  virtual ~pending() = default;

  // Ends the window and writes the body; the sink may be finished or not. Called once.
  virtual std::error_code write(sink& body) = 0;
};

// Movable. One thread at a time may use it, and each use may be in another thread.
class operation {
 public:
  operation(response ready);

  // `head` is that of the answer if it can be made.
  operation(std::unique_ptr<pending> later, response_head head);

  // A window.
  operation(std::unique_ptr<pending> window, window_slot slot, std::chrono::seconds length,
            response_head head);

  // Answers HEAD for a GET that would open a window: the length of its body is not known.
  static operation of_unknown_length(response_head head);

  operation(operation&&) noexcept;
  ~operation();

  // How long to wait before finish(); 0 if the answer can be made at once. Cost: finish() makes the
  // profile, with names and gzip, in the calling thread; begin() only opens windows. That takes
  // milliseconds, in a large program seconds. An event loop that may not stop so long gives both
  // calls to a worker.
  std::chrono::nanoseconds delay() const noexcept { return delay_; }

  // Status and headers of the answer, for servers that send them before the body. If the profile
  // cannot be made later, the body is empty.
  const response_head& head() const noexcept { return ready_; }

  // True if the body is there already.
  bool is_ready() const noexcept { return later_ == nullptr; }

  // Makes the answer and writes its body to `body`, in parts of some 64 KiB as they are made;
  // `head` is complete before the first. Holds no lock of the profiles while it writes, so `body`
  // may wait for its client. Returns the failure of `body`, or one that came after the first part:
  // then the client must not take the body for a whole one. A window that is finished early covers
  // the time until now. If the body is not wanted any more (format/sink.hpp), it ends soon: with
  // operation_canceled. Requires: finish is called once. If the client has gone, destroy the
  // operation instead.
  std::error_code finish(response_head& head, sink body);

  // The whole answer in memory. If that takes more than options.max_answer, it is a failure.
  response finish();

  // Called by begin: limits the whole answer, or makes it one to HEAD.
  void set_most(std::size_t bytes) noexcept { most_ = bytes; }
  void drop_body() noexcept { is_for_head_ = true; }

  // Called by handle: finish() ends soon after this is true. It may be empty.
  void set_cancelled(std::function<bool()> f) { cancelled_ = std::move(f); }

 private:
  response ready_;
  std::unique_ptr<pending> later_;
  window_slot slot_;
  std::chrono::nanoseconds delay_{0};
  std::size_t most_ = static_cast<std::size_t>(-1);
  std::function<bool()> cancelled_;
  bool is_for_head_ = false;
  bool is_length_known_ = true;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_OPERATION_HPP
