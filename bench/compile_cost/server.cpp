// SPDX-License-Identifier: Apache-2.0
//
// A server of profiles, and nothing else.
#include <whence/server.hpp>

int serve() {
  static whence::server profiles("127.0.0.1", 0);
  return profiles.port();
}
