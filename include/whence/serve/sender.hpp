// SPDX-License-Identifier: Apache-2.0
//
// Sends an answer through a socket that does not block, part by part as its worker makes them and
// its client takes them, and knows how slow the client is. It belongs to the loop.
//
//   the answer fits in a part         Content-Length
//   longer                            chunks; HTTP/1.0: the end of the connection ends it
#ifndef WHENCE_SERVE_SENDER_HPP
#define WHENCE_SERVE_SENDER_HPP

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <whence/serve/client_limits.hpp>
#include <whence/serve/exchange.hpp>
#include <whence/serve/message.hpp>
#include <whence/serve/outbox.hpp>

namespace whence::inline v1::serve {

class sender {
 public:
  using clock = std::chrono::steady_clock;

  enum class progress { waits_for_worker, waits_for_client, is_over, has_failed };

  sender() = default;
  // `may_keep`: the connection may have more requests.
  sender(std::shared_ptr<exchange> of, bool may_keep) : of_(std::move(of)), keeps_(may_keep) {}

  // Sends as much of the available bytes as the kernel takes.
  progress send(int socket) {
    for (;;) {
      while (sent_ < text_.size()) {
        const ssize_t size =
            ::send(socket, text_.data() + sent_, text_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size > 0) {
          sent_ += static_cast<std::size_t>(size);
          taken_ += static_cast<std::size_t>(size);
        } else if (errno == EAGAIN) {
          if (!is_blocked()) blocked_from_ = clock::now();
          return progress::waits_for_client;
        } else if (errno != EINTR) {
          return progress::has_failed;
        }
      }
      blocked_ = time_blocked(clock::now());
      blocked_from_ = {};
      if (part_.is_last) return progress::is_over;
      if (!of_->body().take(part_)) return progress::waits_for_worker;
      if (part_.is_broken) return progress::has_failed;
      prepare();
    }
  }

  // Valid at the end of the answer.
  bool keeps() const noexcept { return keeps_; }

  // True once a byte of the answer may have been sent.
  bool has_begun() const noexcept { return has_begun_; }

  bool is_blocked() const noexcept { return blocked_from_ != clock::time_point{}; }

  // True if the client must be dropped; `is_ending`: the server is to end.
  bool is_too_slow(clock::time_point now, bool is_ending) const noexcept {
    if (is_ending && is_blocked() && now - blocked_from_ > client_limits::for_part_at_end) {
      return true;
    }
    return time_blocked(now) > client_limits::for_answer(taken_);
  }

  // True if its worker waits for a client that is slower than other requests allow.
  bool holds_worker(clock::time_point now) noexcept {
    if (now - marked_ < client_limits::for_part_if_awaited) return false;
    const bool is_slow = taken_ - taken_before_ < outbox::capacity;
    marked_ = now;
    taken_before_ = taken_;
    return is_slow && is_blocked() && of_->body().is_full();
  }

 private:
  // Puts the part, and the head before the first, into the bytes to send.
  void prepare() {
    text_.clear();
    sent_ = 0;
    if (!std::exchange(has_begun_, true)) {
      const exchange& e = *of_;
      body_length length;
      if (e.is_head()) {
        length.bytes = e.head().content_length;
      } else if (part_.is_last) {
        length.bytes = part_.text.size();
      } else {
        length.is_chunked = !e.is_1_0();
      }
      is_chunked_ = length.is_chunked;
      keeps_ = keeps_ && e.keeps() && (part_.is_last || is_chunked_);
      text_ = text_of(e.head(), length, keeps_);
      marked_ = clock::now();
    }
    text_ += is_chunked_ ? chunk_of(part_.text, part_.is_last) : part_.text;
  }

  // How long the client has kept it waiting in all.
  clock::duration time_blocked(clock::time_point now) const noexcept {
    return blocked_ + (is_blocked() ? now - blocked_from_ : clock::duration{});
  }

  std::shared_ptr<exchange> of_;
  outbox::part part_;
  std::string text_;
  std::size_t sent_ = 0;   // of text_
  std::size_t taken_ = 0;  // in all
  bool keeps_ = false;
  bool has_begun_ = false;
  bool is_chunked_ = false;
  clock::duration blocked_{};         // before blocked_from_
  clock::time_point blocked_from_{};  // the epoch while the kernel takes more
  clock::time_point marked_{};
  std::size_t taken_before_ = 0;  // when it was marked
};

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_SENDER_HPP
