// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ by cpp-httplib: on a server of the program's, or on a ready one.
//
//   httplib::Server mine;
//   whence::mount(mine);                        // answers this machine alone: http::options
//
//   const whence::server profiles;              // 127.0.0.1:6060, as long as it lives
//   if (profiles.error()) ...                   // the port is taken
//
//   $ go tool pprof http://127.0.0.1:6060/debug/pprof/heap
//
// Include it with the macros the library was built with (Debian: pkg-config --cflags cpp-httplib).
// A window's answer begins with its headers and ends, after its seconds, with the profile; where
// the client goes away meanwhile, the window ends within a tenth of a second.
#ifndef WHENCE_HTTPLIB_HPP
#define WHENCE_HTTPLIB_HPP

#include <fcntl.h>
#include <httplib.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <whence/http.hpp>
#include <whence/http/access.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/request.hpp>
#include <whence/http/worker_pool.hpp>
#include <whence/sys/raise.hpp>
#include <whence/sys/service_thread.hpp>

namespace whence::inline v1 {

namespace http {

using is_ending = std::function<bool()>;

// Everything but the body. httplib takes the type apart.
inline std::string give_headers(const response& from, httplib::Response& to) {
  std::string type;
  to.status = from.status;
  for (const auto& [name, value] : from.headers) {
    if (name == "Content-Type") {
      type = value;
    } else {
      to.set_header(name, value);
    }
  }
  return type;
}

// Sends the profile when the window is over. False: the client has gone, or there is none to send.
inline bool send_window(operation& it, std::chrono::steady_clock::time_point end,
                        const is_ending& ending, httplib::DataSink& to) {
  constexpr std::chrono::milliseconds look_again{50};
  for (auto now = std::chrono::steady_clock::now(); now < end && !ending();
       now = std::chrono::steady_clock::now()) {
    if (!to.is_writable()) return false;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(end - now, look_again));
  }
  const response r = it.finish();
  if (r.status != 200 || !to.write(r.body.data(), r.body.size())) return false;
  to.done();
  return true;
}

inline void answer(const httplib::Request& asked, httplib::Response& to, const options& o,
                   const is_ending& ending) {
  const std::string authorization = asked.get_header_value("Authorization");
  const std::string host = asked.get_header_value("Host");
  auto it = std::make_shared<operation>(begin({.method = asked.method,
                                               .target = asked.target,
                                               .body = asked.body,
                                               .authorization = authorization,
                                               .host = host,
                                               .peer = asked.remote_addr},
                                              o));
  if (it->delay().count() == 0) {
    response r = it->finish();
    const std::string type = give_headers(r, to);
    to.set_content(r.body, type);
    return;
  }
  const auto end = std::chrono::steady_clock::now() + it->delay();
  const std::string type = give_headers(it->head(), to);
  to.set_chunked_content_provider(type, [it, end, ending](std::size_t, httplib::DataSink& out) {
    return send_window(*it, end, ending, out);
  });
}

// A pattern that matches nothing but the text.
inline std::string escaped_for_regex(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '_';
    if (!plain) result += '\\';
    result += c;
  }
  return result;
}

inline void mount(httplib::Server& on, const options& o, const is_ending& ending) {
  const auto handler = [o, ending](const httplib::Request& asked, httplib::Response& to) {
    answer(asked, to, o, ending);
  };
  const std::string folder = escaped_for_regex(o.prefix.substr(0, o.prefix.size() - 1));
  const std::string beside =
      escaped_for_regex(o.prefix.substr(0, o.prefix.rfind('/', o.prefix.size() - 2) + 1));
  on.Get(folder + "(/.*)?", handler);
  on.Get(beside + "fgprof", handler);
  on.Post(folder + "/.*", handler);
}

}  // namespace http

// Adds the routes to a server, before it listens. Throws: std::invalid_argument for a prefix that
// does not begin and end with a slash.
inline void mount(httplib::Server& on, http::options o = {}) {
  http::check(o);
  http::mount(on, o, [] { return false; });
}

// Serves as long as it lives, on threads of its own, which are in no profile.
class server {
 public:
  // Port 0: any that is free. What the system refuses is error()'s to tell.
  // Throws: std::invalid_argument for a host that is not this machine alone without
  // options.allow_remote, and as mount.
  explicit server(std::string host = "127.0.0.1", int port = 6060, http::options o = {}) {
    http::check(o);
    if (!o.allow_remote && host != "localhost" && !http::is_loopback(host)) {
      sys::raise<std::invalid_argument>("server: \"" + host +
                                        "\" is open to other machines: see options.allow_remote");
    }
    const auto workers = static_cast<std::size_t>(std::max(o.max_windows, 0)) + spare_workers;
    prepare(workers, o);
    port_ =
        port == 0 ? http_->bind_to_any_port(host) : (http_->bind_to_port(host, port) ? port : -1);
    if (port_ < 0) {
      error_ = sys::errno_code(errno != 0 ? errno : EADDRINUSE);
      return;
    }
    const auto listen = [](void* self) {
      const http::own_thread_scope ours;
      static_cast<server*>(self)->http_->listen_after_bind();
    };
    const int failed = samplers::own_threads::start(listener_, listen, this, "whence-http");
    error_ = sys::errno_code(failed);
  }
  ~server() { stop(); }
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  // Whether it serves.
  std::error_code error() const noexcept { return error_; }

  int port() const noexcept { return port_; }

  // Ends all windows, answers what is under way, and closes the port. The second time it does
  // nothing; in a child of fork it only closes what it inherited.
  void stop() {
    if (http_ == nullptr) return;
    if (process_ != ::getpid()) {
      if (socket_ >= 0) ::close(socket_);
      (void)http_.release();  // its threads are the parent's
      return;
    }
    *is_ending_ = true;
    if (port_ >= 0 && !error_) {
      // It cannot be told to stop before it has begun to listen.
      while (!http_->is_running() && listener_.runs()) std::this_thread::yield();
      http_->stop();
      listener_.stop();
    }
    http_.reset();
  }

 private:
  static constexpr std::size_t spare_workers = 16;
  static constexpr std::size_t longest_path = 1024;  // std::regex takes 400 bytes of stack for each

  class queue final : public httplib::TaskQueue {
   public:
    explicit queue(std::size_t workers) : pool_(workers) {}
    void enqueue(std::function<void()> job) override { pool_.submit(std::move(job)); }
    void shutdown() override { pool_.shut_down(); }

   private:
    http::worker_pool pool_;
  };

  void prepare(std::size_t workers, const http::options& o) {
    // httplib ignores SIGPIPE for the whole process; ours are deaf to it already.
    struct sigaction before {};
    ::sigaction(SIGPIPE, nullptr, &before);
    http_ = std::make_unique<httplib::Server>();
    ::sigaction(SIGPIPE, &before, nullptr);
    http_->new_task_queue = [workers] { return new queue(workers); };
    http_->set_payload_max_length(o.max_body);
    // Not SO_REUSEPORT, by which two processes would share the port and neither know.
    http_->set_socket_options([this](socket_t s) {
      const int yes = 1;
      ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      ::fcntl(s, F_SETFD, FD_CLOEXEC);
      socket_ = s;
    });
    http_->set_pre_routing_handler([](const httplib::Request& asked, httplib::Response& to) {
      if (asked.path.size() <= longest_path) return httplib::Server::HandlerResponse::Unhandled;
      const http::response r = http::failure(414, "the request is too long");
      const std::string type = http::give_headers(r, to);
      to.set_content(r.body, type);
      return httplib::Server::HandlerResponse::Handled;
    });
    http::mount(*http_, o, [ending = is_ending_] { return ending->load(); });
  }

  const ::pid_t process_ = ::getpid();
  std::shared_ptr<std::atomic<bool>> is_ending_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<httplib::Server> http_;
  sys::service_thread listener_;
  int socket_ = -1;
  int port_ = -1;
  std::error_code error_;
};

}  // namespace whence::inline v1

#endif  // WHENCE_HTTPLIB_HPP
