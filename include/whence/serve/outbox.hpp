// SPDX-License-Identifier: Apache-2.0
//
// The bytes of an answer between the worker that makes them and the loop that sends them:
//
//   worker  ->  | at most 64 KiB |  ->  loop  ->  client
//
// A worker waits while it is full, so an answer takes 128 KiB here, with the part that is being
// sent, however long it is. The loop takes full parts and the last one, so an answer that fits has
// a known length.
#ifndef WHENCE_SERVE_OUTBOX_HPP
#define WHENCE_SERVE_OUTBOX_HPP

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace whence::inline v1::serve {

class outbox {
 public:
  static constexpr std::size_t capacity = 65536;

  // `wake` tells the loop that there is something to take.
  explicit outbox(std::function<void()> wake) : wake_(std::move(wake)) {}
  outbox(const outbox&) = delete;
  outbox& operator=(const outbox&) = delete;

  // Called by the worker. operation_canceled if the client has gone.
  std::error_code write(std::span<const std::byte> bytes) {
    std::unique_lock hold(mutex_);
    while (!bytes.empty()) {
      room_.wait(hold, [this] { return text_.size() < capacity || is_abandoned_; });
      if (is_abandoned_) return std::make_error_code(std::errc::operation_canceled);
      const std::size_t size = std::min(bytes.size(), capacity - text_.size());
      text_.append(reinterpret_cast<const char*>(bytes.data()), size);
      bytes = bytes.subspan(size);
      if (text_.size() == capacity) wake_();
    }
    return {};
  }

  // Drops what was written. False if a part of it is on its way.
  bool restart() noexcept {
    const std::lock_guard hold(mutex_);
    if (!is_taken_) text_.clear();
    return !is_taken_ && !is_abandoned_;
  }

  // Ends the answer; `failure`: it is not whole.
  void finish(std::error_code failure) noexcept {
    const std::lock_guard hold(mutex_);
    is_over_ = true;
    is_broken_ = static_cast<bool>(failure);
    wake_();
  }

  // True if nothing of it will be sent, so that it need not be made.
  bool is_abandoned() const noexcept {
    const std::lock_guard hold(mutex_);
    return is_abandoned_;
  }

  // Called by the loop.
  struct part {
    std::string text;
    bool is_last = false;
    bool is_broken = false;  // the rest cannot be made
  };

  // False if there is nothing to take yet.
  bool take(part& to) noexcept {
    const std::lock_guard hold(mutex_);
    if (!is_over_ && text_.size() < capacity) return false;
    to.text.clear();
    to.text.swap(text_);
    to.is_last = is_over_;
    to.is_broken = is_broken_;
    is_taken_ = true;
    room_.notify_one();
    return true;
  }

  // True while the worker waits for the client, or will at its next byte.
  bool is_full() const noexcept {
    const std::lock_guard hold(mutex_);
    return !is_over_ && text_.size() == capacity;
  }

  // The client has gone.
  void abandon() noexcept {
    const std::lock_guard hold(mutex_);
    is_abandoned_ = true;
    room_.notify_one();
  }

 private:
  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::string text_;
  bool is_taken_ = false;
  bool is_over_ = false;
  bool is_broken_ = false;
  bool is_abandoned_ = false;
};

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_OUTBOX_HPP
