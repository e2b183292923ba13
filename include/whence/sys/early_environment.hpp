// SPDX-License-Identifier: Apache-2.0
//
// Functions in .preinit_array run before libc has told the program of its environment: `environ` is
// null then, and the settings would be read as if no variable were set. The dynamic linker gives
// them the environment as their third argument.
#ifndef WHENCE_SYS_EARLY_ENVIRONMENT_HPP
#define WHENCE_SYS_EARLY_ENVIRONMENT_HPP

#include <unistd.h>

namespace whence::inline v1::sys {

// Sets `environ` to what libc sets it to a moment later.
inline void use_early_environment(char** variables) noexcept {
  if (::environ == nullptr) ::environ = variables;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_EARLY_ENVIRONMENT_HPP
