// SPDX-License-Identifier: Apache-2.0
//
// One request and its answer as the workers see them: a sequence of steps, between which the loop
// waits for the client or the clock.
//
//   check()   is it allowed?  ->  needs_body  ->  begins  ->  begin()  ->  waits  ->  answer()
//
// A body is read only if the route wants one and the client is known to be allowed; if it is not
// read, the connection ends with the answer:
//
//   411  chunked, or of unknown length   415  compressed   413  longer than options.max_body
//   400  with GET or HEAD
#ifndef WHENCE_SERVE_EXCHANGE_HPP
#define WHENCE_SERVE_EXCHANGE_HPP

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/http/access.hpp>
#include <whence/http/dispatch.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/request.hpp>
#include <whence/http/responses.hpp>
#include <whence/serve/message.hpp>
#include <whence/serve/outbox.hpp>
#include <whence/sys/catch_error.hpp>

namespace whence::inline v1::serve {

class exchange {
 public:
  enum class stage {
    at_work,     // a worker has it, or will
    needs_body,  // length() bytes
    begins,      // begin() is next
    waits,       // for delay(), and then answer()
    answers,     // body() is being filled
  };

  // `head` is the text of a request's head; `wake` tells the loop to look at the stage.
  exchange(std::string head, std::string peer, const http::options& o, std::function<void()> wake)
      : text_(std::move(head)),
        peer_(std::move(peer)),
        options_(o),
        wake_(std::move(wake)),
        body_(wake_) {}

  stage at() const noexcept { return at_.load(std::memory_order_acquire); }
  void enter(stage s) noexcept {
    at_.store(s, std::memory_order_release);
    wake_();
  }

  // Steps, each called by one worker. A failure of the system breaks the answer.
  using step = void (exchange::*)();
  void run(step s) noexcept {
    const std::error_code error = sys::catch_error([&] {
      if (body_.is_abandoned()) return std::make_error_code(std::errc::operation_canceled);
      (this->*s)();
      return std::error_code{};
    });
    if (error) end(error);
  }

  void check() {
    head_ = parse_head(text_);
    if (!head_) return respond(http::failure(400, "the request is malformed"));
    const bool has_body = head_->has("transfer-encoding") || head_->count("content-length") > 1 ||
                          (head_->has("content-length") && (*head_)["content-length"] != "0");
    const bool would_keep = head_->keeps_alive();
    keeps_ = would_keep && !has_body;
    const http::request asked = to_request();
    if (std::optional<http::response> refused = http::refusal(asked, options_)) {
      return respond(std::move(*refused));
    }
    if (has_body) {
      if (std::optional<http::response> r = mistake_of_body()) return respond(std::move(*r));
      keeps_ = would_keep && http::takes_body(asked, options_);
    }
    effort_ = http::effort_of(asked, options_);
    if (has_body && http::takes_body(asked, options_)) return enter(stage::needs_body);
    if (effort_ == http::effort::little) return begin();
    enter(stage::begins);
  }

  void begin() {
    hold(http::begin_allowed(to_request(), options_));
    if (operation_->delay().count() != 0) return enter(stage::waits);
    answer();
  }

  void answer() {
    at_.store(stage::answers, std::memory_order_release);
    const struct {
      outbox& to;
      std::error_code operator()(std::span<const std::byte> bytes) const { return to.write(bytes); }
      bool is_wanted() const { return !to.is_abandoned(); }
    } send{body_};
    std::error_code error = operation_->finish(response_, send);
    if (error && body_.restart()) {
      hold(http::failure(error));
      error = operation_->finish(response_, send);
    }
    operation_.reset();
    body_.finish(error);
  }

  // Called by the loop instead of a step, if no worker can take it. The connection ends with it.
  void refuse(http::response r) {
    keeps_ = false;
    respond(std::move(r));
  }

  // Requires: check() has run.
  bool is_head() const noexcept { return head_ && head_->method == "HEAD"; }
  bool is_1_0() const noexcept { return head_ && head_->is_1_0; }
  bool keeps() const noexcept { return keeps_; }
  http::effort work() const noexcept { return effort_; }
  std::size_t length() const noexcept { return length_; }
  bool expects_continue() const { return http::lower_case((*head_)["expect"]) == "100-continue"; }
  void set_body(std::string body) { given_ = std::move(body); }

  // Requires: no worker has it.
  bool has_window() const noexcept { return operation_ && operation_->delay().count() != 0; }

  // Requires: begin() has run.
  std::chrono::nanoseconds delay() const noexcept { return operation_->delay(); }

  // Complete as soon as the outbox gives a part.
  const http::response_head& head() const noexcept { return response_; }
  outbox& body() noexcept { return body_; }

 private:
  void respond(http::response r) {
    hold(std::move(r));
    answer();
  }

  // HEAD gets no byte of a body, whatever the answer becomes.
  void hold(http::operation o) {
    operation_.emplace(std::move(o));
    if (is_head()) operation_->drop_body();
  }

  http::request to_request() const {
    return {.method = head_->method,
            .target = head_->target,
            .body = given_,
            .authorization = (*head_)["authorization"],
            .host = (*head_)["host"],
            .peer = peer_,
            .fetch_site = (*head_)["sec-fetch-site"],
            .cancelled = [this] { return body_.is_abandoned(); }};
  }

  std::optional<http::response> mistake_of_body() {
    const message_head& head = *head_;
    if (head.has("transfer-encoding")) return http::failure(411, "a body needs a Content-Length");
    if (head.has("content-encoding")) return http::failure(415, "a body must not be compressed");
    const std::string_view text = head["content-length"];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length_);
    if (error == std::errc::result_out_of_range)
      return http::failure(413, "the request is too long");
    if (head.count("content-length") != 1 || error != std::errc{} ||
        end != text.data() + text.size()) {
      return http::failure(400, "the request is malformed");
    }
    if (length_ > options_.max_body) return http::failure(413, "the request is too long");
    if (head.method == "GET" || head.method == "HEAD")
      return http::failure(400, "GET takes no body");
    return std::nullopt;
  }

  void end(std::error_code failure) noexcept {
    at_.store(stage::answers, std::memory_order_release);
    body_.finish(failure);
  }

  const std::string text_;  // which head_ views
  const std::string peer_;
  const http::options& options_;
  const std::function<void()> wake_;
  std::atomic<stage> at_{stage::at_work};
  std::optional<message_head> head_;
  std::string given_;  // the request's body
  std::size_t length_ = 0;
  bool keeps_ = false;
  http::effort effort_ = http::effort::little;
  std::optional<http::operation> operation_;
  http::response_head response_;
  outbox body_;
};

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_EXCHANGE_HPP
