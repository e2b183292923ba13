// SPDX-License-Identifier: Apache-2.0
//
// How slow a client may be, and how much of the server it may occupy, so that slow or idle clients
// do not block others:
//
//   a head, a body        10 seconds each; 5 seconds between requests
//   an answer             the client may keep it waiting 10 seconds, and a second more for each
//                         64 KiB that it took
//   other requests wait   a client that keeps a worker waiting must take 64 KiB in a quarter of a
//   for a worker          second
//   bodies                16 MiB of them at once, or a single one
//   no place is free      a new client gets the place of the one that has waited longest between
//                         requests, or for the rest of its own
//
// event_loop.hpp applies the rules to requests and places, sender.hpp those to answers.
#ifndef WHENCE_SERVE_CLIENT_LIMITS_HPP
#define WHENCE_SERVE_CLIENT_LIMITS_HPP

#include <chrono>
#include <cstddef>

#include <whence/serve/outbox.hpp>

namespace whence::inline v1::serve::client_limits {

inline constexpr std::size_t connections = 256;
inline constexpr std::size_t bytes_of_bodies = std::size_t{16} << 20;

inline constexpr std::chrono::seconds for_head_or_body{10};
inline constexpr std::chrono::seconds between_requests{5};
inline constexpr std::chrono::seconds to_close_after_answer{1};

// How long an answer may wait in all for a client that has taken this many bytes of it.
constexpr std::chrono::seconds for_answer(std::size_t taken) noexcept {
  return std::chrono::seconds(10 + taken / outbox::capacity);
}
// How long it may wait at a time when the server is to end.
inline constexpr std::chrono::seconds for_part_at_end{2};
// How long the server waits in all for answers to be made and taken when it is to end.
inline constexpr std::chrono::seconds for_answers_at_end{5};

// The time in which a client must take outbox::capacity bytes if other requests wait for its
// worker.
inline constexpr std::chrono::milliseconds for_part_if_awaited{250};

}  // namespace whence::inline v1::serve::client_limits

#endif  // WHENCE_SERVE_CLIENT_LIMITS_HPP
