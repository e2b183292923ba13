// SPDX-License-Identifier: Apache-2.0
//
// How a thread-local variable of this library is declared: constant-initialized (no guard, no
// wrapper), each module's own (hidden), and in a shared library in the static TLS block
// (initial-exec), because the dynamic one is reached through a call that may allocate.
//
//   WHENCE_THREAD_LOCAL type name{initializer};
#ifndef WHENCE_SYS_THREAD_LOCAL_HPP
#define WHENCE_SYS_THREAD_LOCAL_HPP

#if defined(__PIC__) && !defined(__PIE__)
#define WHENCE_THREAD_LOCAL \
  [[gnu::visibility("hidden"), gnu::tls_model("initial-exec")]] inline constinit thread_local
#else
#define WHENCE_THREAD_LOCAL [[gnu::visibility("hidden")]] inline constinit thread_local
#endif

#endif  // WHENCE_SYS_THREAD_LOCAL_HPP
