// SPDX-License-Identifier: Apache-2.0
//
// Throws for a caller's mistake; in a program built with -fno-exceptions, prints the message and
// aborts, as the standard library does.
#ifndef WHENCE_SYS_THROW_OR_ABORT_HPP
#define WHENCE_SYS_THROW_OR_ABORT_HPP

#include <cstdio>
#include <cstdlib>

namespace whence::inline v1::sys {

template <class Exception, class... Arguments>
[[noreturn, gnu::noinline, gnu::cold]] void throw_or_abort(Arguments&&... arguments) {
#if defined(__cpp_exceptions)
  throw Exception(static_cast<Arguments&&>(arguments)...);
#else
  const Exception mistake(static_cast<Arguments&&>(arguments)...);
  std::fprintf(stderr, "whence: %s\n", mistake.what());
  std::abort();
#endif
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_THROW_OR_ABORT_HPP
