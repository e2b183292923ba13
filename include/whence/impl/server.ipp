// SPDX-License-Identifier: Apache-2.0
//
// The bodies of server.hpp: its parts, and the way of a request through them.
#ifndef WHENCE_IMPL_SERVER_IPP
#define WHENCE_IMPL_SERVER_IPP

#include <whence/config.hpp>

#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <whence/http.hpp>
#include <whence/http/access.hpp>
#include <whence/http/request.hpp>
#include <whence/samplers/library_threads.hpp>
#include <whence/serve/event_loop.hpp>
#include <whence/serve/listening_socket.hpp>
#include <whence/serve/worker_pool.hpp>
#include <whence/server.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/service_thread.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1 {

struct server::parts {
  parts(const std::string& host, int port, http::options given)
      : options(std::move(given)), socket(host, port), loop(socket, options) {}

  ~parts() {
    if (!is_started) return;
    loop.end();
    thread.stop();
  }

  std::error_code error() const noexcept { return socket.error() ? socket.error() : loop.error(); }

  // Returns 0, or the system's error.
  int start() noexcept {
    const auto body = [](void* self) {
      const serve::own_thread_scope ours;
      static_cast<parts*>(self)->loop.run();
    };
    const int error = samplers::library_threads::start(thread, body, this, "whence-http");
    is_started = error == 0;
    return error;
  }

  const http::options options;
  serve::listening_socket socket;
  serve::event_loop loop;
  sys::service_thread thread;
  bool is_started = false;  // it may end by itself, and is joined nevertheless
};

WHENCE_FUNCTION server::server(std::string host, int port, http::options o) : process_(::getpid()) {
  http::check(o);
  if (port < 0 || port > 65535) {
    sys::throw_or_abort<std::invalid_argument>("server: port " + std::to_string(port) +
                                               " is not from 0 to 65535");
  }
  const bool is_file = host.starts_with(serve::listening_socket::unix_prefix);
  if (!is_file && !o.allow_remote && host != "localhost" && !http::is_loopback(host)) {
    sys::throw_or_abort<std::invalid_argument>(
        "server: \"" + host + "\" is open to other machines: see options.allow_remote");
  }
  parts_ = std::make_unique<parts>(host, port, std::move(o));
  error_ = parts_->error();
  if (!error_) {
    port_ = parts_->socket.port();
    error_ = sys::errno_code(parts_->start());
  }
  if (error_) parts_.reset();
}

WHENCE_FUNCTION server::~server() {
  stop();
}

WHENCE_FUNCTION void server::stop() {
  if (parts_ == nullptr) return;
  const sys::cancel_guard uncancelled;  // threads are joined, also in the destructor
  if (process_ != ::getpid()) {
    parts_->socket.close();
    parts_->loop.close_inherited();
    (void)parts_.release();  // its threads belong to the parent
    return;
  }
  parts_.reset();
}

}  // namespace whence::inline v1

#endif  // WHENCE_IMPL_SERVER_IPP
