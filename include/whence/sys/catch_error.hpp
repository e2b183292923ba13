// SPDX-License-Identifier: Apache-2.0
//
// Runs a function and turns what it throws into the std::error_code it would have returned: for
// functions whose contract is that every failure is returned.
#ifndef WHENCE_SYS_CATCH_ERROR_HPP
#define WHENCE_SYS_CATCH_ERROR_HPP

#include <ios>
#include <new>
#include <system_error>

#if defined(__cpp_exceptions) && defined(__GLIBCXX__)
#include <bits/cxxabi_forced.h>
#endif

namespace whence::inline v1::sys {

inline std::error_code errno_code(int error) noexcept {
  return {error, std::generic_category()};
}

// `unknown` stands for exceptions that carry no code.
template <class F>
std::error_code catch_error(F&& f,
                            [[maybe_unused]] std::error_code unknown = std::io_errc::stream) {
#if defined(__cpp_exceptions)
  try {
    return f();
  } catch (const std::system_error& e) {  // std::ios_base::failure is one
    return e.code() ? e.code() : unknown;
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
#if defined(__GLIBCXX__)
  } catch (const __cxxabiv1::__forced_unwind&) {
    throw;  // the thread is being cancelled; glibc aborts if this exception is swallowed
#endif
  } catch (...) {
    return unknown;
  }
#else
  return f();
#endif
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_CATCH_ERROR_HPP
