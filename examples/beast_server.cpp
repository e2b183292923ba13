// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ in an event loop of one thread, by Boost.Beast: windows of many seconds block no
// other client, and a window whose client goes away ends at once.
//   beast_server [PORT [SECONDS]]      default: 6061, until it is interrupted
//   go tool pprof http://127.0.0.1:6061/debug/pprof/heap
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <whence/beast.hpp>
#include <whence/whence.hpp>

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using error_code = boost::system::error_code;

// One connection: reads a request, waits as long as its window is open, writes, reads the next.
class connection : public std::enable_shared_from_this<connection> {
 public:
  explicit connection(tcp::socket socket)
      : stream_(std::move(socket)), timer_(stream_.get_executor()) {}

  void read() {
    parser_.emplace();
    parser_->body_limit(1 << 20);
    stream_.expires_after(std::chrono::seconds(10));
    beast::http::async_read(stream_, buffer_, *parser_,
                            [self = shared_from_this()](error_code failed, std::size_t) {
                              if (!failed) self->begin();
                            });
  }

 private:
  void begin() {
    error_code unknown;
    const std::string peer = stream_.socket().remote_endpoint(unknown).address().to_string();
    window_.emplace(whence::beast::begin(parser_->get(), {}, peer));
    if (window_->delay().count() == 0) return write();
    stream_.expires_never();
    timer_.expires_after(window_->delay());
    timer_.async_wait([self = shared_from_this()](error_code cancelled) {
      if (!cancelled && self->window_) self->write();
    });
    // A client that is still there sends nothing meanwhile.
    stream_.socket().async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code) {
      self->look_for_client();
    });
  }

  void look_for_client() {
    char byte = 0;
    error_code failed;
    stream_.socket().non_blocking(true, failed);
    const std::size_t got =
        stream_.socket().receive(asio::buffer(&byte, 1), tcp::socket::message_peek, failed);
    const bool is_gone = got == 0 && failed != asio::error::would_block;
    if (!is_gone) return;
    window_.reset();
    timer_.cancel();
  }

  void write() {
    answer_ = whence::beast::finish(*window_, parser_->get());
    window_.reset();
    stream_.expires_after(std::chrono::seconds(10));
    beast::http::async_write(stream_, answer_,
                             [self = shared_from_this()](error_code failed, std::size_t) {
                               if (!failed && self->answer_.keep_alive()) self->read();
                             });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  asio::steady_timer timer_;
  std::optional<beast::http::request_parser<beast::http::string_body>> parser_;
  std::optional<whence::http::operation> window_;
  whence::beast::response answer_;
};

class listener {
 public:
  listener(asio::io_context& loop, unsigned short port)
      : acceptor_(loop, {asio::ip::address_v4::loopback(), port}) {
    accept();
  }
  unsigned short port() const { return acceptor_.local_endpoint().port(); }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code failed, tcp::socket socket) {
      if (!failed) std::make_shared<connection>(std::move(socket))->read();
      accept();
    });
  }

  tcp::acceptor acceptor_;
};

int main(int argc, char** argv) try {
  asio::io_context loop(1);
  const listener server(loop, static_cast<unsigned short>(argc > 1 ? std::atoi(argv[1]) : 6061));
  std::printf("http://127.0.0.1:%d/debug/pprof/\n", server.port());
  std::fflush(stdout);
  if (argc > 2) {
    loop.run_for(std::chrono::seconds(std::atoi(argv[2])));
  } else {
    loop.run();
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "beast_server: %s\n", e.what());
  return 1;
}
