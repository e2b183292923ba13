// SPDX-License-Identifier: Apache-2.0
//
// Selects the machine: each machine's folder has the same files with the same names in them.
// config.hpp refuses other machines.
#ifndef WHENCE_UNWIND_ARCH_HPP
#define WHENCE_UNWIND_ARCH_HPP

#if defined(__x86_64__)
#include <whence/unwind/x86_64/call_site.hpp>
#include <whence/unwind/x86_64/make_rule.hpp>
#include <whence/unwind/x86_64/registers.hpp>
#include <whence/unwind/x86_64/rule.hpp>
#elif defined(__aarch64__)
#include <whence/unwind/aarch64/call_site.hpp>
#include <whence/unwind/aarch64/make_rule.hpp>
#include <whence/unwind/aarch64/registers.hpp>
#include <whence/unwind/aarch64/rule.hpp>
#endif

#endif  // WHENCE_UNWIND_ARCH_HPP
