// SPDX-License-Identifier: Apache-2.0
//
// Ends a writer's long work if its sink wants no more bytes.
#ifndef WHENCE_FORMAT_WANTED_HPP
#define WHENCE_FORMAT_WANTED_HPP

#include <whence/format/sink.hpp>
#include <whence/sys/work_check.hpp>

namespace whence::inline v1::format {

// Requires: the sink outlives it and its copies.
template <class = void>
inline sys::work_check check_of(const sink& out) noexcept {
  return {[](const void* it) { return static_cast<const sink*>(it)->is_wanted(); }, &out};
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_WANTED_HPP
