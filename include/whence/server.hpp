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
#ifndef WHENCE_SERVER_HPP
#define WHENCE_SERVER_HPP

#include <whence/config.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <whence/http.hpp>
#include <whence/http/access.hpp>
#include <whence/http/listening_socket.hpp>
#include <whence/http/request.hpp>
#include <whence/http/session.hpp>
#include <whence/http/waiting_room.hpp>
#include <whence/http/worker_pool.hpp>
#include <whence/samplers/own_threads.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/raise.hpp>
#include <whence/sys/service_thread.hpp>

namespace whence::inline v1 {

class server {
 public:
  // Port 0: any that is free. What the system refuses is error()'s to tell.
  // Throws: std::invalid_argument for a host that is not this machine alone without
  // options.allow_remote, for a port that is none, and as http::check.
  explicit server(std::string host = "127.0.0.1", int port = 6060, http::options o = {}) {
    http::check(o);
    if (port < 0 || port > 65535) {
      sys::raise<std::invalid_argument>("server: port " + std::to_string(port) +
                                        " is not from 0 to 65535");
    }
    if (!o.allow_remote && host != "localhost" && !http::is_loopback(host)) {
      sys::raise<std::invalid_argument>("server: \"" + host +
                                        "\" is open to other machines: see options.allow_remote");
    }
    parts_ = std::make_unique<parts>(host, port, std::move(o));
    error_ = parts_->error();
    if (!error_) {
      port_ = parts_->socket.port();
      error_ = sys::errno_code(parts_->start());
    }
    if (error_) parts_.reset();
  }
  ~server() { stop(); }
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  // Whether it serves.
  std::error_code error() const noexcept { return error_; }

  // -1: it could not be bound.
  int port() const noexcept { return port_; }

  // Closes the port, ends all windows, and answers what is under way; a client that does not take
  // its answer is let go after 2 seconds, one that has not asked at once. The second time it does
  // nothing; in a child of fork it only closes what it inherited.
  void stop() {
    if (parts_ == nullptr) return;
    if (process_ != ::getpid()) {
      parts_->socket.close();
      parts_->room.close_inherited();
      (void)parts_.release();  // its threads are the parent's
      return;
    }
    parts_.reset();
  }

 private:
  struct parts {
    parts(const std::string& host, int port, http::options given)
        : options(std::move(given)),
          socket(host, port),
          room(socket.number(), [this](http::waiting_room::guest g) { hand_over(std::move(g)); }),
          pool(static_cast<std::size_t>(std::max(options.max_windows, 0)) + spare_workers) {}

    ~parts() {
      if (!gathers.runs()) return;
      room.end();
      gathers.stop();
      socket.close();
      pool.shut_down();
    }

    std::error_code error() const noexcept {
      return socket.error() ? socket.error() : room.error();
    }

    // 0, or the system's error.
    int start() noexcept {
      const auto gather = [](void* self) {
        const http::own_thread_scope ours;
        static_cast<parts*>(self)->room.run();
      };
      return samplers::own_threads::start(gathers, gather, this, "whence-http");
    }

    void hand_over(http::waiting_room::guest g) {
      pool.submit([this, g = std::move(g)]() mutable {
        // Where there is no memory, the client is let go.
        (void)sys::as_error([&] {
          http::session(*g, options, room.is_ending()).serve();
          if (g->at() != http::connection::stage::closed) room.take_back(std::move(g));
          return std::error_code{};
        });
      });
    }

    const http::options options;
    http::listening_socket socket;
    http::waiting_room room;
    http::worker_pool pool;
    sys::service_thread gathers;
  };

  static constexpr std::size_t spare_workers = 16;

  const ::pid_t process_ = ::getpid();
  std::unique_ptr<parts> parts_;
  int port_ = -1;
  std::error_code error_;
};

}  // namespace whence::inline v1

#endif  // WHENCE_SERVER_HPP
