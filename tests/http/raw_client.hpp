// SPDX-License-Identifier: Apache-2.0
//
// A client that sends the given bytes unchanged, and shows everything that comes back.
#ifndef WHENCE_TESTS_HTTP_RAW_CLIENT_HPP
#define WHENCE_TESTS_HTTP_RAW_CLIENT_HPP

#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

struct raw_answer {
  int status = 0;         // 0 if the server hung up without one
  bool is_whole = false;  // its last chunk came
  std::string head, body;

  // Returns "" if the answer has no such header.
  std::string operator[](std::string_view name) const {
    const std::string line = "\r\n" + std::string(name) + ": ";
    const std::size_t at = head.find(line);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + line.size();
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class raw_client {
 public:
  // `room`: how many bytes of answers the kernel keeps for it, if not 0.
  explicit raw_client(int port, int family = AF_INET, int room = 0)
      : socket_(::socket(family, SOCK_STREAM, 0)) {
    if (room != 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<std::uint16_t>(port));
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = v4.sin_port;
    v6.sin6_addr = in6addr_loopback;
    is_connected_ =
        (family == AF_INET6 ? ::connect(socket_, reinterpret_cast<sockaddr*>(&v6), sizeof v6)
                            : ::connect(socket_, reinterpret_cast<sockaddr*>(&v4), sizeof v4)) == 0;
  }
  raw_client(raw_client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), is_connected_(other.is_connected_) {}
  raw_client& operator=(raw_client&&) = delete;
  ~raw_client() { close(); }

  bool is_connected() const { return is_connected_; }

  // Longer waits for the server end as if it had hung up.
  void wait_at_most(int seconds) const {
    const ::timeval limit{seconds, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

  // Sends no more, as a client that has gone, but still receives.
  void end_side() const { ::shutdown(socket_, SHUT_WR); }

  // Closes it so that the server learns of it even while it makes the answer.
  void reset() {
    const ::linger at_once{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }

  // How many bytes of answers have come and are not yet read.
  int bytes_waiting() const {
    int size = 0;
    ::ioctl(socket_, FIONREAD, &size);
    return size;
  }

  // False if the server takes no more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
  }

  // The next answer, of the length it says, or in chunks, or all until the server hangs up.
  raw_answer receive(bool is_head = false) {
    raw_answer a;
    while (received_.find("\r\n\r\n") == std::string::npos) {
      if (!more()) return a;
    }
    const std::size_t size = received_.find("\r\n\r\n") + 4;
    a.head = received_.substr(0, size);
    received_.erase(0, size);
    a.status = std::stoi(a.head.substr(9, 3));
    const std::string length = a["Content-Length"];
    if (is_head || a.status == 100) return a;
    if (a["Transfer-Encoding"] == "chunked") {
      while (take_chunk(a)) continue;
      return a;
    }
    const std::size_t wanted = length.empty() ? std::string::npos : std::stoul(length);
    while (received_.size() < wanted && more()) continue;
    a.body = received_.substr(0, wanted);
    received_.erase(0, a.body.size());
    return a;
  }

  // Waits until the server has hung up: true if it did so by an error, so that no client takes what
  // came for the whole.
  bool is_reset() {
    while (more()) continue;
    return errno_ == ECONNRESET;
  }

  // Waits until the server has hung up: true, even if bytes came before.
  bool is_hung_up() {
    while (more()) continue;
    return true;
  }

  raw_answer ask(std::string_view method, std::string_view target, std::string_view fields = "",
                 std::string_view body = "") {
    std::string text(method);
    text.append(" ").append(target).append(" HTTP/1.1\r\nHost: localhost\r\n").append(fields);
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(text.append("\r\n").append(body));
    return receive(method == "HEAD");
  }
  raw_answer get(std::string_view target) { return ask("GET", target); }

 private:
  // False if it was the last chunk, or the server hung up.
  bool take_chunk(raw_answer& a) {
    while (received_.find("\r\n") == std::string::npos) {
      if (!more()) return false;
    }
    const std::size_t begin = received_.find("\r\n") + 2;
    const std::size_t size = std::stoul(received_, nullptr, 16);
    while (received_.size() < begin + size + 2) {
      if (!more()) return false;
    }
    a.body.append(received_, begin, size);
    received_.erase(0, begin + size + 2);
    a.is_whole = size == 0;
    return !a.is_whole;
  }

  bool more() {
    char part[16384];
    const ssize_t size = ::recv(socket_, part, sizeof part, 0);
    errno_ = size < 0 ? errno : 0;
    if (size > 0) received_.append(part, static_cast<std::size_t>(size));
    return size > 0;
  }

  int socket_;
  bool is_connected_ = false;
  int errno_ = 0;  // of the last recv
  std::string received_;
};

#endif  // WHENCE_TESTS_HTTP_RAW_CLIENT_HPP
