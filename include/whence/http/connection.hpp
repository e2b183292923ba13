// SPDX-License-Identifier: Apache-2.0
//
// A client's socket. Slow clients are dropped, so that they block nothing for long:
//
//   reading   a body until a moment the caller sets
//   writing   an answer 10 seconds, and a second more for each 64 KiB that were taken
//
// When the server ends, both end soon. One thread at a time uses a connection; the waiting room and
// a worker hand it to each other.
#ifndef WHENCE_HTTP_CONNECTION_HPP
#define WHENCE_HTTP_CONNECTION_HPP

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace whence::inline v1::http {

// The address as text; empty if its family is not IP.
inline std::string text_of(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  }
  return text.data();
}

class connection {
 public:
  using clock = std::chrono::steady_clock;

  enum class stage {
    idle,     // no byte of a request has come
    asking,   // a part of a request has come
    asked,    // a whole head has come: a worker's turn
    leaving,  // the answer is sent; input is dropped, since closing at once could destroy the
              // answer
    closed,
  };

  // Requires: `socket` does not block. `open` counts the open connections.
  connection(int socket, std::string peer, std::atomic<std::size_t>& open)
      : socket_(socket), peer_(std::move(peer)), open_(open) {
    open_.fetch_add(1);
  }
  ~connection() {
    ::close(socket_);
    open_.fetch_sub(1);
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  int socket() const noexcept { return socket_; }
  const std::string& peer() const noexcept { return peer_; }

  stage at() const noexcept { return stage_; }
  clock::time_point since() const noexcept { return since_; }
  void enter(stage s) noexcept {
    stage_ = s;
    since_ = clock::now();
  }

  std::string& received() noexcept { return received_; }

  // Reads what has come, without waiting. False if the client has gone, or sends nothing more.
  // Throws: std::bad_alloc.
  bool receive() {
    std::array<char, 16384> part;
    const ssize_t size = ::recv(socket_, part.data(), part.size(), MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    received_.append(part.data(), static_cast<std::size_t>(size));
    return size > 0;
  }

  // Waits until that many bytes have come. False if they do not come in time.
  bool receive(std::size_t size, clock::time_point until, const std::atomic<bool>& is_ending) {
    while (received_.size() < size) {
      if (is_ending || clock::now() >= until || !receive()) return false;
      if (received_.size() < size) wait_for(POLLIN);
    }
    return true;
  }

  // False if the client has gone or is too slow. `more`: the next bytes go into the same packet.
  bool send(std::string_view bytes, bool more, const std::atomic<bool>& is_ending) noexcept {
    const clock::time_point begin = clock::now();
    clock::time_point end = clock::time_point::max();
    for (std::size_t sent = 0; sent < bytes.size();) {
      const std::string_view rest = bytes.substr(sent);
      const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
      const ssize_t size = ::send(socket_, rest.data(), rest.size(), flags);
      if (size >= 0) {
        sent += static_cast<std::size_t>(size);
        continue;
      }
      if (errno != EAGAIN && errno != EINTR) return false;
      const clock::time_point now = clock::now();
      if (is_ending && end == clock::time_point::max()) end = now + grace;
      if (now >= end || now - begin > patience + std::chrono::seconds(sent / slowest)) return false;
      wait_for(POLLOUT);
    }
    return true;
  }

  // Tells the client that the answer is complete, without losing bytes that are on their way.
  void end_sending() noexcept { ::shutdown(socket_, SHUT_WR); }

  bool is_gone() const noexcept {
    pollfd it{socket_, POLLRDHUP, 0};
    return ::poll(&it, 1, 0) > 0;
  }

 private:
  static constexpr std::chrono::seconds patience{10};
  static constexpr std::chrono::seconds grace{2};
  static constexpr std::size_t slowest = 65536;  // bytes a second
  static constexpr int look_again_ms = 50;

  void wait_for(short event) const noexcept {
    pollfd it{socket_, event, 0};
    ::poll(&it, 1, look_again_ms);
  }

  const int socket_;
  const std::string peer_;
  std::atomic<std::size_t>& open_;
  std::string received_;
  stage stage_ = stage::asking;
  clock::time_point since_ = clock::now();
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_CONNECTION_HPP
