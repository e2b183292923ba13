// SPDX-License-Identifier: Apache-2.0
#ifndef SHARED_HPP
#define SHARED_HPP

#include <vector>

#include <whence/whence.hpp>

using numbers = std::vector<int, whence::tracking_allocator<int>>;

struct session {
  whence::tracked<whence::custom_profile<"app.sessions">> entry;
};

// Defined in other.cpp.
numbers made_there();
whence::profile* heap_there();
whence::profile* sessions_there();

#endif  // SHARED_HPP
