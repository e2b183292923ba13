// SPDX-License-Identifier: Apache-2.0
//
// The errors of this library. All other errors are the system's (std::errc).
#ifndef WHENCE_ERRC_HPP
#define WHENCE_ERRC_HPP

#include <whence/config.hpp>

#include <string>
#include <system_error>
#include <type_traits>

namespace whence::inline v1 {

enum class errc {
  already_profiling = 1,  // start_cpu_profile: a CPU profile is running already
};

namespace core {
class own_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "whence"; }
  // These are Go's words, which clients show. (runtime/pprof, StartCPUProfile)
  std::string message(int value) const override {
    return value == static_cast<int>(errc::already_profiling) ? "cpu profiling already in use"
                                                              : "unknown error";
  }
};
}  // namespace core

inline const std::error_category& error_category() noexcept {
  static const core::own_category category;
  return category;
}

inline std::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), error_category()};
}

}  // namespace whence::inline v1

template <>
struct std::is_error_code_enum<whence::errc> : std::true_type {};

#endif  // WHENCE_ERRC_HPP
