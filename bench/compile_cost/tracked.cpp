// SPDX-License-Identifier: Apache-2.0
//
// A file that records; its twin is tracked_std.cpp.
#include <whence/tracked.hpp>

struct session {
  explicit session(int socket) noexcept;
  ~session();
  int socket;
  whence::tracked<whence::custom_profile<"app.sessions">> entry;
};

session::session(int number) noexcept : socket(number) {}
session::~session() = default;
