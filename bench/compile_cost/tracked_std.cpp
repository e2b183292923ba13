// SPDX-License-Identifier: Apache-2.0
//
// The twin of tracked.cpp, which records nothing.
struct session {
  explicit session(int socket) noexcept;
  ~session();
  int socket;
};

session::session(int number) noexcept : socket(number) {}
session::~session() = default;
