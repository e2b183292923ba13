// SPDX-License-Identifier: Apache-2.0
//
// Answers one request of a connection. A body is read only if the route wants one and the client is
// known to be allowed; if it is not read, the connection ends with the answer:
//
//   411  chunked, or of unknown length   415  compressed   413  longer than options.max_body
//   400  with GET or HEAD
#ifndef WHENCE_HTTP_SESSION_HPP
#define WHENCE_HTTP_SESSION_HPP

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <whence/http/access.hpp>
#include <whence/http/answers.hpp>
#include <whence/http/begin.hpp>
#include <whence/http/connection.hpp>
#include <whence/http/message.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/request.hpp>
#include <whence/http/waiting_room.hpp>

namespace whence::inline v1::http {

class session {
 public:
  session(connection& with, const options& o, const std::atomic<bool>& is_ending)
      : client_(with), options_(o), is_ending_(is_ending) {}

  // Requires: a whole head has come, or one that is too long. Afterwards the connection is idle,
  // leaving or closed.
  void serve() {
    const std::size_t size = size_of_head(client_.received());
    if (size == 0 || size > longest_head) return refuse(failure(431, "the request is too long"));
    const std::string text = client_.received().substr(0, size);
    client_.received().erase(0, size);
    const std::optional<message_head> head = parse_head(text);
    if (!head) return refuse(failure(400, "the request is malformed"));
    keeps_ = head->keeps_alive();
    std::optional<operation> it = begin(*head);
    if (!it || !wait_for(*it)) return client_.enter(connection::stage::closed);
    send(it->finish(), head->method == "HEAD");
  }

 private:
  using clock = connection::clock;

  void refuse(const response& r) {
    keeps_ = false;
    send(r, false);
  }

  void send(const response& r, bool is_head) {
    keeps_ = keeps_ && !is_ending_;
    const std::string head = head_of(r, is_head, keeps_);
    const bool has_body = !is_head && !r.body.empty();
    if (!client_.send(head, has_body, is_ending_) ||
        (has_body && !client_.send(r.body, false, is_ending_))) {
      return client_.enter(connection::stage::closed);
    }
    if (!keeps_) client_.end_sending();
    client_.enter(keeps_ ? connection::stage::idle : connection::stage::leaving);
  }

  // Returns nullopt if the client sends no body, or sends it too slowly.
  std::optional<operation> begin(const message_head& head) {
    request asked{.method = head.method,
                  .target = head.target,
                  .authorization = head["authorization"],
                  .host = head["host"],
                  .peer = client_.peer(),
                  .fetch_site = head["sec-fetch-site"]};
    const bool has_body = head.has("transfer-encoding") || head.count("content-length") > 1 ||
                          (head.has("content-length") && head["content-length"] != "0");
    const bool would_keep = std::exchange(keeps_, keeps_ && !has_body);
    if (std::optional<response> refused = refusal(asked, options_)) return std::move(*refused);
    std::string body;
    if (has_body) {
      std::size_t length = 0;
      if (std::optional<response> r = mistake_of_body(head, length)) return std::move(*r);
      if (takes_body(asked, options_)) {
        if (!read_body(head, length)) return std::nullopt;
        body = client_.received().substr(0, length);
        client_.received().erase(0, length);
        asked.body = body;
        keeps_ = would_keep;
      }
    }
    return begin_allowed(asked, options_);
  }

  std::optional<response> mistake_of_body(const message_head& head, std::size_t& length) const {
    if (head.has("transfer-encoding")) return failure(411, "a body needs a Content-Length");
    if (head.has("content-encoding")) return failure(415, "a body must not be compressed");
    const std::string_view text = head["content-length"];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (error == std::errc::result_out_of_range) return failure(413, "the request is too long");
    if (head.count("content-length") != 1 || error != std::errc{} ||
        end != text.data() + text.size()) {
      return failure(400, "the request is malformed");
    }
    if (length > options_.max_body) return failure(413, "the request is too long");
    if (head.method == "GET" || head.method == "HEAD") return failure(400, "GET takes no body");
    return std::nullopt;
  }

  bool read_body(const message_head& head, std::size_t length) {
    constexpr std::chrono::seconds patience{10};
    if (lower_case(head["expect"]) == "100-continue" && client_.received().size() < length &&
        !client_.send("HTTP/1.1 100 Continue\r\n\r\n", false, is_ending_)) {
      return false;
    }
    return client_.receive(length, clock::now() + patience, is_ending_);
  }

  // Waits until the window or the server ends. False if the client has gone.
  bool wait_for(const operation& it) const {
    constexpr std::chrono::milliseconds look_again{50};
    const auto end = clock::now() + it.delay();
    for (auto now = clock::now(); now < end && !is_ending_; now = clock::now()) {
      if (client_.is_gone()) return false;
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(end - now, look_again));
    }
    return true;
  }

  connection& client_;
  const options& options_;
  const std::atomic<bool>& is_ending_;
  bool keeps_ = false;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_SESSION_HPP
