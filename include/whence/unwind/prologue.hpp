// SPDX-License-Identifier: Apache-2.0
//
// What a function's first instructions tell about its frame: for walks that know no frame pointer,
// hence apart from arch.hpp, which every recording includes.
#ifndef WHENCE_UNWIND_PROLOGUE_HPP
#define WHENCE_UNWIND_PROLOGUE_HPP

#if defined(__x86_64__)
#include <whence/unwind/x86_64/prologue.hpp>
#elif defined(__aarch64__)
#include <whence/unwind/aarch64/prologue.hpp>
#endif

#endif  // WHENCE_UNWIND_PROLOGUE_HPP
