// SPDX-License-Identifier: Apache-2.0
//
// The port a server listens at, or the file of a Unix-domain socket, which only its user may open.
// Programs that this one starts do not inherit it. SO_REUSEPORT is not used: two processes would
// share the port unnoticed. A socket file that a process left behind is replaced, one at which a
// process listens is not.
#ifndef WHENCE_SERVE_LISTENING_SOCKET_HPP
#define WHENCE_SERVE_LISTENING_SOCKET_HPP

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <whence/sys/above_standard.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/known_file.hpp>
#include <whence/sys/spare_descriptor.hpp>

namespace whence::inline v1::serve {

class listening_socket {
 public:
  // Hosts that begin with this name a socket file, and have no port.
  static constexpr std::string_view unix_prefix = "unix:";

  // Port 0 means any free port. A name with addresses of both families is bound as IPv4.
  listening_socket(const std::string& host, int port) {
    if (host.starts_with(unix_prefix)) {
      error_ = sys::errno_code(listen_at_file(host.substr(unix_prefix.size())));
      if (!error_) keep_spare();
      return;
    }
    ::addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    ::addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                     std::to_string(port).c_str(), &wanted, &found);
    if (failed != 0) {
      error_ = sys::errno_code(failed == EAI_SYSTEM ? errno : EADDRNOTAVAIL);
      return;
    }
    const std::unique_ptr<::addrinfo, decltype(&::freeaddrinfo)> all(found, &::freeaddrinfo);
    error_ = sys::errno_code(EADDRNOTAVAIL);
    for (const bool is_v4 : {true, false}) {
      for (const ::addrinfo* one = found; one != nullptr && error_; one = one->ai_next) {
        if ((one->ai_family == AF_INET) == is_v4) error_ = sys::errno_code(listen_at(*one));
      }
    }
    if (!error_) keep_spare();
  }
  ~listening_socket() { close(); }
  listening_socket(const listening_socket&) = delete;
  listening_socket& operator=(const listening_socket&) = delete;

  std::error_code error() const noexcept { return error_; }

  // -1 if it is closed.
  int number() const noexcept { return socket_; }

  // -1 of a socket file.
  int port() const noexcept {
    sockaddr_storage own{};
    ::socklen_t size = sizeof own;
    if (::getsockname(socket_, reinterpret_cast<sockaddr*>(&own), &size) != 0) return -1;
    if (own.ss_family == AF_UNIX) return -1;
    return ntohs(own.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(own).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(own).sin_port);
  }

  // The socket of the next client, which does not block. -1 if no client waits (EAGAIN), or if the
  // process may open no more files.
  int accept(sockaddr_storage& from) const noexcept {
    for (;;) {
      ::socklen_t size = sizeof from;
      const int s = sys::above_standard(::accept4(socket_, reinterpret_cast<sockaddr*>(&from),
                                                  &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (s < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
      const int yes = 1;
      if (s >= 0) ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      return s;
    }
  }

  // True if a client waits: without descriptors, accept() fails even if none does.
  bool has_client() const noexcept {
    pollfd it{socket_, POLLIN, 0};
    return ::poll(&it, 1, 0) > 0;
  }

  // Works as accept(), for a process that may open no more files.
  int accept_with_spare(sockaddr_storage& from) noexcept {
    return spare_.spend() ? accept(from) : -1;
  }

  // Takes a spare descriptor, if it is missing and the process may open another.
  void keep_spare() noexcept { spare_.refill(); }

  // The file stays if a child of fork closes it: it is the parent's.
  void close() noexcept {
    if (file_.is_at(socket_)) ::close(socket_);
    socket_ = -1;
    (void)spare_.spend();
    if (!path_.empty() && owner_ == ::getpid() && is_own_file()) ::unlink(path_.c_str());
    path_.clear();
  }

 private:
  // Returns 0, or the system's error.
  int listen_at(const ::addrinfo& where) noexcept {
    const int s = sys::above_standard(
        ::socket(where.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (s < 0) return errno;
    const int yes = 1;
    ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(s, where.ai_addr, where.ai_addrlen) != 0 || ::listen(s, SOMAXCONN) != 0) {
      const int error = errno;
      ::close(s);
      return error;
    }
    socket_ = s;
    file_ = sys::known_file(s);
    return 0;
  }

  // The same. No client can connect before listen(), and by then the file is its user's alone.
  int listen_at_file(const std::string& path) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof where.sun_path) return ENAMETOOLONG;
    path.copy(where.sun_path, path.size());
    const int s =
        sys::above_standard(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (s < 0) return errno;
    const auto* const address = reinterpret_cast<const sockaddr*>(&where);
    int error = ::bind(s, address, sizeof where) == 0 ? 0 : errno;
    if (error == EADDRINUSE && is_left_behind(where)) {
      error = ::unlink(path.c_str()) == 0 && ::bind(s, address, sizeof where) == 0 ? 0 : errno;
    }
    if (error == 0 &&
        (::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0 || ::listen(s, SOMAXCONN) != 0)) {
      error = errno;
    }
    struct stat made {};
    if (error == 0 && ::lstat(path.c_str(), &made) != 0) error = errno;
    if (error != 0) {
      ::close(s);
      return error;
    }
    path_ = path;
    owner_ = ::getpid();
    device_ = made.st_dev;
    inode_ = made.st_ino;
    socket_ = s;
    file_ = sys::known_file(s);
    return 0;
  }

  // True for a socket at which no process listens.
  static bool is_left_behind(const sockaddr_un& where) noexcept {
    struct stat there {};
    if (::lstat(where.sun_path, &there) != 0 || !S_ISSOCK(there.st_mode)) return false;
    const int s = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) return false;
    const bool refused =
        ::connect(s, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 &&
        errno == ECONNREFUSED;
    ::close(s);
    return refused;
  }

  bool is_own_file() const noexcept {
    struct stat there {};
    return ::lstat(path_.c_str(), &there) == 0 && there.st_dev == device_ && there.st_ino == inode_;
  }

  int socket_ = -1;
  sys::known_file file_;
  std::string path_;  // of a socket file
  ::pid_t owner_ = 0;
  ::dev_t device_ = 0;
  ::ino_t inode_ = 0;
  sys::spare_descriptor spare_;
  std::error_code error_;
};

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_LISTENING_SOCKET_HPP
