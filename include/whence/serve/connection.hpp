// SPDX-License-Identifier: Apache-2.0
//
// A client's socket, which does not block, and how far its request and answer have come. It belongs
// to the loop.
#ifndef WHENCE_SERVE_CONNECTION_HPP
#define WHENCE_SERVE_CONNECTION_HPP

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <whence/http/dispatch.hpp>
#include <whence/serve/exchange.hpp>
#include <whence/serve/sender.hpp>

namespace whence::inline v1::serve {

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

struct connection {
  using clock = std::chrono::steady_clock;

  enum class stage {
    idle,     // no byte of a request has come
    asking,   // a part of a head has come
    body,     // a part of a body has come
    working,  // a worker has the request
    window,   // is open until `due`
    sending,
    leaving,  // the answer is sent; input is dropped, since closing at once could destroy the
              // answer
    closed,
  };

  connection() = default;
  ~connection() { close(); }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  void enter(stage s) noexcept {
    at = s;
    since = clock::now();
  }

  // True if it can be closed without loss, because nothing was asked yet or all is answered.
  bool is_waiting() const noexcept {
    return at == stage::idle || at == stage::asking || at == stage::body || at == stage::leaving;
  }

  // The client sees the end even if a child of fork holds a copy of the socket.
  void close() noexcept {
    if (socket >= 0) {
      ::shutdown(socket, SHUT_RDWR);
      ::close(std::exchange(socket, -1));
    }
    enter(stage::closed);
  }

  // The client sees an error, and cannot take what it has for the whole.
  void reset() noexcept {
    const ::linger at_once{1, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    sockaddr nowhere{};
    nowhere.sa_family = AF_UNSPEC;
    ::connect(socket, &nowhere, sizeof nowhere);  // resets it, even if a child of fork has a copy
    close();
  }

  // Receives what has come, at most 64 KiB. False if the client has ended its side, or has gone.
  bool receive() {
    std::array<char, 16384> part;
    for (int i = 0; i < 4; ++i) {
      const ssize_t size = ::recv(socket, part.data(), part.size(), MSG_DONTWAIT);
      if (size > 0) {
        received.append(part.data(), static_cast<std::size_t>(size));
      } else if (size == 0 || errno != EINTR) {
        return size != 0 && errno == EAGAIN;
      }
    }
    return true;
  }

  // Sends a text that is shorter than what the kernel keeps. False if the client took none before.
  bool send(std::string_view text) const noexcept {
    return ::send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(text.size());
  }

  int socket = -1;
  std::string peer;           // its address
  std::uint32_t watched = 0;  // events of epoll
  bool is_ready = true;       // an event came, or may have
  bool has_ended = false;     // the client sends no more
  stage at = stage::idle;
  clock::time_point since = clock::now();
  std::string received;
  std::shared_ptr<exchange> work;
  http::effort lane = http::effort::little;  // whose workers have it
  std::size_t body_size = 0;                 // of the request
  clock::time_point due{};                   // the end of the window

  sender answer;
};

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_CONNECTION_HPP
