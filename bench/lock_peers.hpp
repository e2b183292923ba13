// SPDX-License-Identifier: Apache-2.0
//
// absl::Mutex as a lock like the others, if it is installed.
#ifndef WHENCE_BENCH_LOCK_PEERS_HPP
#define WHENCE_BENCH_LOCK_PEERS_HPP

#ifdef WHENCE_BENCH_ABSL
#include <absl/synchronization/mutex.h>

struct absl_mutex {
  void lock() { m.Lock(); }
  void unlock() { m.Unlock(); }
  absl::Mutex m;
};
#endif

#endif  // WHENCE_BENCH_LOCK_PEERS_HPP
