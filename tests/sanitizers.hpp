// SPDX-License-Identifier: Apache-2.0
//
// Whether a sanitizer stands in for the allocator: it ends the program where operator new would
// throw.
#ifndef WHENCE_TESTS_SANITIZERS_HPP
#define WHENCE_TESTS_SANITIZERS_HPP

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

#endif  // WHENCE_TESTS_SANITIZERS_HPP
