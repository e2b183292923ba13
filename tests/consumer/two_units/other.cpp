// SPDX-License-Identifier: Apache-2.0
#include "shared.hpp"

numbers made_there() {
  return numbers(1000, 7);
}

whence::profile* heap_there() {
  return whence::lookup("heap");
}

whence::profile* sessions_there() {
  return whence::lookup("app.sessions");
}
