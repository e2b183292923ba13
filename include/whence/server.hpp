// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ by a complete server, which needs only this library:
//
//   const whence::server profiles;              // 127.0.0.1:6060, as long as it lives
//   if (profiles.error()) ...                   // the port is taken
//
//   $ go tool pprof http://127.0.0.1:6060/debug/pprof/heap
//
// It speaks HTTP/1.1 and 1.0. One thread owns every socket, and others, made when they are needed,
// only compute: at most 53. No profile shows these threads. A window is answered when it is over;
// if the client goes away before, it ends at once.
//
// An answer is sent as its client reads it: 64 KiB of it are made ahead, however long it is, and
// one that is longer than that comes in chunks. Slow clients are dropped by the rules of
// serve/client_limits.hpp.
//
// It does not use an HTTP library, because the memory that a client can take must be bounded before
// the client is known to be allowed. cpp-httplib 0.11 first reads heads and bodies of any size (one
// request of 0.6 MB took 1.4 GB), and a client that sends a byte a second holds a thread, and the
// program's exit. The bounds here: 64 KiB of head, options.max_body of body, 128 KiB of answer, 256
// connections, seconds for each. (serve/client_limits.hpp, serve/exchange.hpp, serve/outbox.hpp)
//
// If the program closes its descriptors (close_range), it serves no more, and closes no file that
// got one of their numbers.
//
// Its member functions are for one thread at a time. Not for signal handlers.
#ifndef WHENCE_SERVER_HPP
#define WHENCE_SERVER_HPP

#include <whence/config.hpp>

#include <sys/types.h>

#include <memory>
#include <string>
#include <system_error>

#include <whence/http/request.hpp>

namespace whence::inline v1 {

class server {
 public:
  // Port 0 takes any port that is free. The host unix:PATH is a Unix-domain socket, which has no
  // port and only its user may open: `curl --unix-socket PATH http://localhost/debug/pprof/`.
  // error() returns what the system refused. Throws: std::invalid_argument for a host that is not
  // this machine alone without options.allow_remote, for a port out of range, and as http::check.
  explicit server(std::string host = "127.0.0.1", int port = 6060, http::options o = {});
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  // The reason for which it does not serve, or no error.
  std::error_code error() const noexcept { return error_; }

  // The port it listens on; -1 if it could not be bound, or is a Unix-domain socket.
  int port() const noexcept { return port_; }

  // Closes the port, ends all windows, and answers the requests that have begun, within 5 seconds:
  // what is not answered then is given up, and a profile of more than 65536 stacks at once; its
  // client sees an error. A client that does not take its response is disconnected after 2 seconds,
  // an idle client at once. A second call does nothing; in a child of fork it only closes what the
  // child inherited.
  void stop();

 private:
  struct parts;

  const ::pid_t process_;
  std::unique_ptr<parts> parts_;
  int port_ = -1;
  std::error_code error_;
};

}  // namespace whence::inline v1

#ifndef WHENCE_COMPILED
#include <whence/impl/server.ipp>
#endif

#endif  // WHENCE_SERVER_HPP
