// SPDX-License-Identifier: Apache-2.0
#include "interposed.hpp"

extern "C" __attribute__((visibility("default"))) void work() {
  allocate_100_mb();
}
