// SPDX-License-Identifier: Apache-2.0
//
// Holds clients between requests: one thread accepts them and reads the heads of their requests, so
// that slow, silent or gone clients occupy no worker. A connection goes round:
//
//   asking  ->  asked: to a worker  ->  idle: back here, until it asks again
//                                   ->  leaving: back here, until the client has hung up
//
// The limits are `most_open` connections, 64 KiB for a head, and seconds for each stage. If all
// places are taken, waiting clients get one more second, and the others queue in the kernel.
#ifndef WHENCE_HTTP_WAITING_ROOM_HPP
#define WHENCE_HTTP_WAITING_ROOM_HPP

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/http/connection.hpp>
#include <whence/http/message.hpp>
#include <whence/sys/as_error.hpp>

namespace whence::inline v1::http {

inline constexpr std::size_t longest_head = 65536;

class waiting_room {
 public:
  using guest = std::shared_ptr<connection>;

  static constexpr std::size_t most_open = 256;

  // `serve` gives a connection to a worker: one whose head is complete, or too long.
  waiting_room(int listening, std::function<void(guest)> serve)
      : listening_(listening), serve_(std::move(serve)) {}
  ~waiting_room() {
    if (wake_ >= 0) ::close(wake_);
  }
  waiting_room(const waiting_room&) = delete;
  waiting_room& operator=(const waiting_room&) = delete;

  std::error_code error() const noexcept { return sys::errno_code(wake_ < 0 ? EMFILE : 0); }

  // Runs in a thread of its own until end() is called. Then connections without a whole head close.
  void run() {
    while (!is_ending_) {
      const std::error_code error = sys::as_error([this] {
        look();
        return std::error_code{};
      });
      if (error) guests_.clear();  // memory is exhausted
    }
    guests_.clear();
    const std::lock_guard hold(mutex_);
    back_.clear();
  }

  void end() noexcept {
    is_ending_ = true;
    wake();
  }
  const std::atomic<bool>& is_ending() const noexcept { return is_ending_; }

  // Called by a worker after its answer. Throws: std::bad_alloc.
  void take_back(guest g) {
    {
      const std::lock_guard hold(mutex_);
      if (is_ending_) return;
      back_.push_back(std::move(g));
    }
    wake();
  }

  // For a child of fork, which has no thread of ours and may have half-changed data.
  void close_inherited() const noexcept { ::close(wake_); }

 private:
  using clock = connection::clock;
  using stage = connection::stage;

  void wake() const noexcept { (void)::eventfd_write(wake_, 1); }

  static std::chrono::milliseconds limit(stage s, bool is_crowded) noexcept {
    using std::chrono::milliseconds;
    switch (s) {
      case stage::idle:
        return milliseconds(is_crowded ? 0 : 5000);
      case stage::asking:
        return milliseconds(is_crowded ? 1000 : 10000);
      case stage::leaving:
        return milliseconds(is_crowded ? 100 : 1000);
      default:
        return milliseconds(0);
    }
  }

  void look() {
    take_those_who_are_back();
    const bool is_crowded = open_ >= most_open;
    const bool accepts = !is_crowded && clock::now() >= accepts_from_;
    waited_for_.clear();
    waited_for_.push_back({wake_, POLLIN, 0});
    waited_for_.push_back({listening_, static_cast<short>(accepts ? POLLIN : 0), 0});
    for (const guest& g : guests_) waited_for_.push_back({g->socket(), POLLIN, 0});
    if (::poll(waited_for_.data(), waited_for_.size(), milliseconds_to_wait(is_crowded)) < 0)
      return;
    ::eventfd_t ignored = 0;
    if (waited_for_[0].revents != 0) (void)::eventfd_read(wake_, &ignored);
    const clock::time_point now = clock::now();
    for (std::size_t i = 0; i < guests_.size(); ++i) {
      connection& c = *guests_[i];
      if (waited_for_[i + 2].revents != 0) hear(c);
      if (now - c.since() >= limit(c.at(), is_crowded)) leave_if_waiting(c);
    }
    send_off();
    if (waited_for_[1].revents != 0) accept_all();
  }

  int milliseconds_to_wait(bool is_crowded) const noexcept {
    std::chrono::milliseconds least{accepts_from_ > clock::now() ? 100 : 1000};
    for (const guest& g : guests_) {
      const auto left = g->since() + limit(g->at(), is_crowded) - clock::now();
      least = std::min(least, std::chrono::ceil<std::chrono::milliseconds>(left));
    }
    return static_cast<int>(std::max<std::int64_t>(least.count(), 0));
  }

  void take_those_who_are_back() {
    std::vector<guest> all;
    {
      const std::lock_guard hold(mutex_);
      all.swap(back_);
    }
    for (guest& g : all) {
      // The client's next request may be here already.
      if (g->at() == stage::idle && !g->received().empty()) take_part(*g);
      guests_.push_back(std::move(g));
    }
    send_off();
  }

  static void hear(connection& c) {
    if (!c.receive()) return c.enter(stage::closed);
    if (c.at() == stage::leaving) {
      c.received().clear();
    } else if (!c.received().empty()) {
      take_part(c);
    }
  }

  static void take_part(connection& c) noexcept {
    if (c.at() == stage::idle) c.enter(stage::asking);
    if (size_of_head(c.received()) != 0 || c.received().size() > longest_head) {
      c.enter(stage::asked);
    }
  }

  static void leave_if_waiting(connection& c) noexcept {
    if (c.at() != stage::asked) c.enter(stage::closed);
  }

  // Gives complete requests to workers and removes closed connections.
  void send_off() {
    const auto stay = std::partition(guests_.begin(), guests_.end(), [](const guest& g) {
      return g->at() != stage::asked && g->at() != stage::closed;
    });
    for (auto it = stay; it != guests_.end(); ++it) {
      if ((*it)->at() == stage::asked) serve_(std::move(*it));
    }
    guests_.erase(stay, guests_.end());
  }

  void accept_all() {
    while (open_ < most_open) {
      sockaddr_storage from{};
      ::socklen_t size = sizeof from;
      const int s = ::accept4(listening_, reinterpret_cast<sockaddr*>(&from), &size,
                              SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (s < 0) {
        // Out of descriptors: the client stays in the queue, and poll would return at once.
        if (errno != EAGAIN) accepts_from_ = clock::now() + std::chrono::milliseconds(100);
        return;
      }
      const int yes = 1;
      ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      guests_.push_back(std::make_shared<connection>(s, text_of(from), open_));
    }
  }

  const int listening_;
  const std::function<void(guest)> serve_;
  const int wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::atomic<bool> is_ending_{false};
  std::atomic<std::size_t> open_{0};
  std::vector<guest> guests_;
  std::vector<pollfd> waited_for_;
  clock::time_point accepts_from_{};  // after a failure
  std::mutex mutex_;
  std::vector<guest> back_;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_WAITING_ROOM_HPP
