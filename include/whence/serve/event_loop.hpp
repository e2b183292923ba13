// SPDX-License-Identifier: Apache-2.0
//
// Owns every socket of a server, in one thread: it accepts clients, reads heads and bodies, waits
// for windows to end, and sends answers as their clients read them. Workers only compute, so a
// client that sends or reads slowly holds at most one worker, and not for long (client_limits.hpp).
//
// There are places for client_limits::connections clients, or for as many as the process may open
// files. A spare descriptor lets in one client more if the program has used up all others.
//
// A program may close descriptors that it did not open, and its files may then get their numbers.
// The loop ends if one of its own is gone, and closes only numbers that are certainly still its
// own.
#ifndef WHENCE_SERVE_EVENT_LOOP_HPP
#define WHENCE_SERVE_EVENT_LOOP_HPP

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/http/dispatch.hpp>
#include <whence/http/request.hpp>
#include <whence/http/responses.hpp>
#include <whence/serve/client_limits.hpp>
#include <whence/serve/connection.hpp>
#include <whence/serve/event_queue.hpp>
#include <whence/serve/exchange.hpp>
#include <whence/serve/listening_socket.hpp>
#include <whence/serve/message.hpp>
#include <whence/serve/sender.hpp>
#include <whence/serve/worker_pool.hpp>
#include <whence/sys/catch_error.hpp>

namespace whence::inline v1::serve {

class event_loop {
 public:
  event_loop(listening_socket& listening, const http::options& o)
      : listening_(listening), options_(o) {}
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;

  std::error_code error() const noexcept { return events_.error(); }

  // Runs in a thread of its own until end() is called, all requests that have begun are answered or
  // given up (is_given_up), and no worker runs; or until the program has closed its descriptors.
  void run() {
    while (!events_.is_lost() && (!is_ending_ || !connections_.empty())) {
      const std::error_code error = sys::catch_error([this] {
        look();
        return std::error_code{};
      });
      if (error) {  // memory is exhausted
        close_all();
        rest();  // a client that waits would be tried again at once, and again
      }
    }
    if (events_.is_lost()) listening_.close();  // clients are refused, not kept waiting for ever
    for (worker_pool& pool : pools_) pool.shut_down();
  }

  void end() noexcept {
    is_ending_ = true;
    events_.wake();
  }

  // For a child of fork, too, which has no thread of ours and may have half-changed data.
  void close_inherited() noexcept { events_.close(); }

 private:
  using clock = connection::clock;
  using stage = connection::stage;

  void look() {
    listen(!is_ending_ && clock::now() >= accepts_from_);
    bool has_clients = false;
    for (const ::epoll_event& event : events_.wait(milliseconds_to_wait())) {
      if (event.data.ptr == &listens_) {
        has_clients = true;
      } else {
        auto& c = *static_cast<connection*>(event.data.ptr);
        c.is_ready = true;
        if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) leave(c);
        c.has_ended = c.has_ended || (event.events & EPOLLRDHUP) != 0;
      }
    }
    if (events_.is_lost()) return close_all();
    if (is_ending_ && ends_at_ == clock::time_point::max()) {
      ends_at_ = clock::now() + client_limits::for_answers_at_end;
    }
    for (const auto& c : connections_) advance(*c);
    end_slow_ones();
    if (has_clients) accept_some();
    std::erase_if(connections_, [](const auto& c) { return c->at == stage::closed; });
    listening_.keep_spare();
  }

  void listen(bool wanted) noexcept {
    if (wanted == listens_) return;
    const int s = listening_.number();
    if (wanted ? events_.add(s, EPOLLIN, &listens_) : events_.remove(s)) listens_ = wanted;
  }

  int milliseconds_to_wait() const noexcept {
    using std::chrono::milliseconds;
    const clock::time_point now = clock::now();
    clock::time_point next = now + std::chrono::seconds(1);
    if (!listens_ || is_ending_ || is_short()) next = now + milliseconds(50);
    for (const auto& c : connections_) {
      if (c->at == stage::window) next = std::min(next, c->due);
      if (c->is_waiting()) next = std::min(next, c->since + patience(c->at));
    }
    return static_cast<int>(
        std::max<std::int64_t>(std::chrono::ceil<milliseconds>(next - now).count(), 0));
  }

  static std::chrono::seconds patience(stage s) noexcept {
    if (s == stage::idle) return client_limits::between_requests;
    if (s == stage::leaving) return client_limits::to_close_after_answer;
    return client_limits::for_head_or_body;
  }

  // --- clients

  void accept_some() {
    for (int i = 0; i < 64; ++i) {
      if (open() >= client_limits::connections && !make_room()) return rest();
      auto c = std::make_unique<connection>();  // owns the socket from the start
      sockaddr_storage from{};
      c->socket = listening_.accept(from);
      // A client that comes now, after the queue was empty, is let in by the next look.
      if (c->socket < 0 && (errno == EAGAIN || !listening_.has_client())) return;
      if (c->socket < 0) {
        c->socket = make_room() ? listening_.accept(from) : listening_.accept_with_spare(from);
      }
      // Without this, epoll would return at once, since the client stays in the queue.
      if (c->socket < 0) return rest();
      c->peer = text_of(from);
      connections_.push_back(std::move(c));
      connection& added = *connections_.back();
      events_.add(added.socket, 0, &added) ? advance(added) : added.close();
    }
  }

  void rest() noexcept { accepts_from_ = clock::now() + std::chrono::milliseconds(100); }
  std::size_t open() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(connections_.begin(), connections_.end(),
                      [](const auto& c) { return c->at != stage::closed; }));
  }

  // Closes the connection that has waited longest for its client. False if no connection waits.
  bool make_room() noexcept {
    connection* oldest = nullptr;
    for (const auto& c : connections_) {
      if (c->is_waiting() && (oldest == nullptr || c->since < oldest->since)) oldest = c.get();
    }
    if (oldest != nullptr) leave(*oldest);
    return oldest != nullptr;
  }

  // Closes the connection. If a worker has its request, that ends soon (sys/work_check.hpp); if the
  // request waits for a worker, it is dropped.
  void leave(connection& c) noexcept {
    if (c.at == stage::closed) return;
    if (!events_.remove(c.socket)) c.socket = -1;  // the program has closed it
    c.at == stage::sending ? c.reset() : c.close();
    if (c.work == nullptr) return;
    c.work->body().abandon();
    c.answer = {};
    const bool is_free = pool_of(c.lane).withdraw(c.work.get()) ||
                         c.work->at() == exchange::stage::waits;  // no worker has it
    if (is_free && c.work->has_window()) {  // its end waits for a sampler's thread
      (void)sys::catch_error([&] {
        (void)pool_of(http::effort::little).submit(nullptr, [w = c.work] { (void)w; });
        return std::error_code{};
      });
    }
    c.work.reset();
  }

  void close_all() noexcept {
    for (const auto& c : connections_) leave(*c);
    connections_.clear();
  }

  // --- a request

  // Does all that can be done without waiting.
  void advance(connection& c) {
    for (stage before = stage::closed; before != c.at && c.at != stage::closed;) {
      before = c.at;
      proceed(c);
    }
    if (c.at == stage::closed) return;
    const clock::time_point now = clock::now();
    const bool is_late = c.is_waiting()
                             ? is_ending_ || now >= c.since + patience(c.at)
                             : c.at == stage::sending && c.answer.is_too_slow(now, is_ending_);
    if (is_late || is_given_up(c, now)) return leave(c);
    const std::uint32_t events = c.is_waiting()                         ? EPOLLIN
                                 : c.at == stage::window                ? EPOLLRDHUP
                                 : c.answer.is_blocked()                ? EPOLLOUT
                                 : awaits_first_byte(c) && !c.has_ended ? EPOLLRDHUP
                                                                        : 0U;
    if (events == c.watched) return;
    if (!events_.modify(c.socket, events, &c)) return leave(c);
    c.watched = events;
  }

  static bool awaits_first_byte(const connection& c) noexcept {
    return c.at == stage::working || (c.at == stage::sending && !c.answer.has_begun());
  }

  // True if the request need not be answered. A client that has ended its side may still read, or
  // may have gone; which of both, the first byte sent to it will tell. Short answers are sent to
  // it; for long ones it is taken to have gone, as by Go (net/http: Request.Context).
  bool is_given_up(const connection& c, clock::time_point now) const noexcept {
    if (c.is_waiting()) return false;
    if (c.has_ended && awaits_first_byte(c) && c.lane >= http::effort::much) return true;
    return is_ending_ && (now >= ends_at_ || c.lane == http::effort::very_much);
  }

  void proceed(connection& c) {
    if (needs_input(c) && std::exchange(c.is_ready, false) && !c.receive()) c.has_ended = true;
    switch (c.at) {
      case stage::idle:
      case stage::asking:
        return read_head(c);
      case stage::body:
        return read_body(c);
      case stage::working:
        return follow(c);
      case stage::window:
        if (c.has_ended) return leave(c);
        if (clock::now() >= c.due || is_ending_) submit(c, c.work->work(), &exchange::answer);
        return;
      case stage::sending:
        return send(c);
      case stage::leaving:
        c.received.clear();
        if (c.has_ended) leave(c);
        return;
      case stage::closed:
        return;
    }
  }

  // False if what has come is enough to go on: requests that a client sends ahead stay in the
  // kernel, which bounds them.
  static bool needs_input(const connection& c) noexcept {
    switch (c.at) {
      case stage::idle:
      case stage::asking:
        return size_of_head(c.received) == 0 && c.received.size() <= longest_head;
      case stage::body:
        return c.received.size() < c.body_size;
      default:
        return c.at == stage::leaving;
    }
  }

  void read_head(connection& c) {
    const std::size_t size = size_of_head(c.received);
    const bool is_too_long = (size == 0 ? c.received.size() : size) > longest_head;
    if (size == 0 && !is_too_long) {
      if (c.has_ended) return leave(c);
      if (c.at == stage::idle && !c.received.empty()) c.enter(stage::asking);
      return;
    }
    c.work = std::make_shared<exchange>(c.received.substr(0, size), c.peer, options_,
                                        [this] { events_.wake(); });
    c.received.erase(0, size);
    c.body_size = 0;
    if (is_too_long) {
      c.enter(stage::working);
      return c.work->refuse(http::failure(431, "the request is too long"));
    }
    submit(c, http::effort::little, &exchange::check);
  }

  void read_body(connection& c) {
    const std::size_t length = c.body_size;
    if (c.received.size() < length) {
      if (c.has_ended) leave(c);
      return;
    }
    c.work->set_body(c.received.substr(0, length));
    c.received.erase(0, length);
    submit(c, c.work->work(), &exchange::begin);
  }

  void submit(connection& c, http::effort e, exchange::step s) {
    c.enter(stage::working);
    c.lane = e;
    c.work->enter(exchange::stage::at_work);
    if (!pool_of(e).submit(c.work.get(), [w = c.work, s] { w->run(s); })) {
      c.work->refuse(http::failure(503, "no thread can be started"));
    }
  }

  // Does what the worker found to be next.
  void follow(connection& c) {
    switch (c.work->at()) {
      case exchange::stage::at_work:
        return;
      case exchange::stage::needs_body:
        c.body_size = c.work->length();
        if (bytes_of_bodies() > std::max(client_limits::bytes_of_bodies, c.body_size)) {
          return c.work->refuse(http::failure(503, "too many requests have a body"));
        }
        c.enter(stage::body);
        c.is_ready = true;
        if (c.work->expects_continue() && c.received.size() < c.body_size &&
            !c.send("HTTP/1.1 100 Continue\r\n\r\n")) {
          leave(c);
        }
        return;
      case exchange::stage::begins:
        return submit(c, c.work->work(), &exchange::begin);
      case exchange::stage::waits:
        c.due = clock::now() + c.work->delay();
        return c.enter(stage::window);
      case exchange::stage::answers:
        c.answer = sender(c.work, !is_ending_ && !c.has_ended);
        return c.enter(stage::sending);
    }
  }

  std::size_t bytes_of_bodies() const noexcept {
    std::size_t sum = 0;
    for (const auto& c : connections_) sum += c->work != nullptr ? c->body_size : 0;
    return sum;
  }

  // --- an answer

  void send(connection& c) {
    switch (c.answer.send(c.socket)) {
      case sender::progress::waits_for_worker:
      case sender::progress::waits_for_client:
        return;
      case sender::progress::is_over:
        return end_answer(c);
      case sender::progress::has_failed:
        return leave(c);
    }
  }

  void end_answer(connection& c) {
    const bool keeps = c.answer.keeps();
    c.answer = {};
    c.work.reset();
    c.is_ready = true;
    if (keeps) return c.enter(stage::idle);
    ::shutdown(c.socket, SHUT_WR);
    c.enter(stage::leaving);
  }

  // --- workers

  worker_pool& pool_of(http::effort e) noexcept { return pools_[static_cast<std::size_t>(e)]; }

  bool is_short() const noexcept {
    return std::any_of(pools_.begin(), pools_.end(),
                       [](const worker_pool& p) { return p.shortage() > 0; });
  }

  // Frees workers that wait for their clients, if requests wait for workers.
  void end_slow_ones() noexcept {
    const clock::time_point now = clock::now();
    for (const auto& c : connections_) {
      if (c->at != stage::sending || pool_of(c->lane).shortage() == 0) continue;
      if (c->answer.holds_worker(now)) leave(*c);
    }
  }

  listening_socket& listening_;
  const http::options& options_;
  event_queue events_;
  std::atomic<bool> is_ending_{false};
  bool listens_ = false;
  clock::time_point accepts_from_{};  // after a failure
  clock::time_point ends_at_ = clock::time_point::max();
  std::vector<std::unique_ptr<connection>> connections_;
  // The workers for each effort: one alone for answers that take tens of megabytes while they are
  // made.
  std::array<worker_pool, http::effort_count> pools_{worker_pool(16), worker_pool(32),
                                                     worker_pool(4), worker_pool(1)};
};

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_EVENT_LOOP_HPP
