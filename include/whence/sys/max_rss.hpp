// SPDX-License-Identifier: Apache-2.0
//
// The most memory this process has had resident, in bytes.
#ifndef WHENCE_SYS_MAX_RSS_HPP
#define WHENCE_SYS_MAX_RSS_HPP

#include <sys/resource.h>

#include <cstdint>

namespace whence::inline v1::sys {

// 0 where the kernel does not say.
inline std::int64_t max_rss_bytes() noexcept {
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? std::int64_t{usage.ru_maxrss} * 1024 : 0;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_MAX_RSS_HPP
