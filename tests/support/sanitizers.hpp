// SPDX-License-Identifier: Apache-2.0
//
// sanitized: a sanitizer replaces the allocator, and ends the program if operator new fails.
// thread_sanitized: it is ThreadSanitizer.
#ifndef WHENCE_TESTS_SANITIZERS_HPP
#define WHENCE_TESTS_SANITIZERS_HPP

#if defined(__has_feature)
#define WHENCE_TESTS_HAS_FEATURE(x) __has_feature(x)
#else
#define WHENCE_TESTS_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || WHENCE_TESTS_HAS_FEATURE(thread_sanitizer)
inline constexpr bool thread_sanitized = true;
#else
inline constexpr bool thread_sanitized = false;
#endif

#if defined(__SANITIZE_ADDRESS__) || WHENCE_TESTS_HAS_FEATURE(address_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = thread_sanitized;
#endif

#endif  // WHENCE_TESTS_SANITIZERS_HPP
