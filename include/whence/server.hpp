// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ by a ready server, which needs nothing but this library:
//
//   const whence::server profiles;              // 127.0.0.1:6060, as long as it lives
//   if (profiles.error()) ...                   // the port is taken
//
//   $ go tool pprof http://127.0.0.1:6060/debug/pprof/heap
//
// HTTP/1.1 and 1.0. One thread gathers requests, others, made when they are needed, answer: as many
// as windows may be open, and 16. They are in no profile. A window is answered when it is over;
// where the client goes away meanwhile, it ends within a tenth of a second.
//
// Not by a library, because what stands in a program's memory must be bounded before anybody is
// known to be allowed: cpp-httplib 0.11 reads heads and bodies without end first (one request of
// 0.6 MB made 1.4 GB of it), and a client that sends a byte a second holds a thread, and the
// program's exit. Here: 64 KiB of head, options.max_body of body, 256 connections, seconds for
// each. (http/waiting_room.hpp, http/session.hpp, http/connection.hpp)
//
// Its member functions: one thread at a time. Not for signal handlers.
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
  // Port 0: any that is free. What the system refuses is error()'s to tell.
  // Throws: std::invalid_argument for a host that is not this machine alone without
  // options.allow_remote, for a port that is none, and as http::check.
  explicit server(std::string host = "127.0.0.1", int port = 6060, http::options o = {});
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  // Whether it serves.
  std::error_code error() const noexcept { return error_; }

  // -1: it could not be bound.
  int port() const noexcept { return port_; }

  // Closes the port, ends all windows, and answers what is under way; a client that does not take
  // its answer is let go after 2 seconds, one that has not asked at once. The second time it does
  // nothing; in a child of fork it only closes what it inherited.
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
