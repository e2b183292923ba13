// SPDX-License-Identifier: Apache-2.0
//
// The server that WHENCE_HTTP asks for, and the files by which clients find it: whence.PID.port, or
// the socket's. If a port is taken, which is likely where many programs have the same environment,
// it takes the next free one of a hundred.
#ifndef WHENCE_ENVIRONMENT_LISTENER_HPP
#define WHENCE_ENVIRONMENT_LISTENER_HPP

#include <unistd.h>

#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/environment/file_name.hpp>
#include <whence/environment/variables.hpp>
#include <whence/http/access.hpp>
#include <whence/http/request.hpp>
#include <whence/server.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/new_file.hpp>

namespace whence::inline v1::environment {

class listener {
 public:
  // Returns a line that says what came of it. Requires: it does not serve. `values`: for the names.
  std::string start(const settings& asked, const name_values& values) {
    constexpr std::string_view unix_prefix = "unix:";
    const bool is_file = asked.http_host.starts_with(unix_prefix);
    std::string host = asked.http_host;
    if (is_file) {
      host = std::string(unix_prefix) + expand(host.substr(unix_prefix.size()), values);
    }
    http::options options;
    options.token = asked.token;
    options.allow_remote = !is_file && host != "localhost" && !http::is_loopback(host);
    std::unique_ptr<server> made;
    for (int i = 0; i < ports && asked.http_port + i <= 65535; ++i) {
      const int port = asked.http_port == 0 ? 0 : asked.http_port + i;
      made = std::make_unique<server>(host, port, options);
      if (made->error() != std::errc::address_in_use || is_file) break;
    }
    if (made->error()) return "cannot serve at " + host + ": " + made->error().message();
    server_ = made.release();  // never ended: threads run while the process ends
    if (is_file) {
      file_ = host.substr(unix_prefix.size());
      return "serves at " + host;
    }
    const std::string port = std::to_string(server_->port());
    port_line_ = port + '\n';
    file_ = folder_of(expand(asked.pattern, values)) + "whence." + std::to_string(values.process) +
            ".port";
    const std::error_code error = write_port();
    return "serves at " + host + ':' + port +
           (error ? ", and cannot write " + file_ + ": " + error.message() : std::string());
  }

  // Removes the file. Signal-safe.
  void end() const noexcept {
    if (!file_.empty()) ::unlink(file_.c_str());
  }

  // Removes the port's file, which the new program need not replace. A socket's stays, since an
  // exec that fails could not bring it back; the next server replaces it.
  void before_exec() const noexcept {
    if (!port_line_.empty()) end();
  }
  void after_failed_exec() const {
    if (!port_line_.empty()) (void)write_port();
  }

  // Closes what the child inherited, so that clients see that it does not serve.
  void after_fork_in_child() noexcept {
    if (server_ != nullptr) server_->stop();
    server_ = nullptr;
    ::new (&file_) std::string;  // another thread may have been changing them
    ::new (&port_line_) std::string;
  }

 private:
  static constexpr int ports = 100;

  std::error_code write_port() const {
    sys::new_file file(folder_of(file_));
    int error = file.write(std::as_bytes(std::span(port_line_)));
    if (error == 0) error = file.publish(file_, true);
    return sys::errno_code(error);
  }

  server* server_ = nullptr;
  std::string file_, port_line_;
};

}  // namespace whence::inline v1::environment

#endif  // WHENCE_ENVIRONMENT_LISTENER_HPP
