// SPDX-License-Identifier: Apache-2.0
//
// Memory that is zero until an object of static storage is used: in .bss, and in the kernel only
// where it is touched. An array of atomics would do as well, but Clang takes most of a second to
// find out that 2^18 of them are zero.
#ifndef WHENCE_SYS_ZEROS_HPP
#define WHENCE_SYS_ZEROS_HPP

#include <cstddef>
#include <type_traits>

namespace whence::inline v1::sys {

// Requires: a T of zero bytes is valid.
template <class T, std::size_t Count>
class zeros {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  T* data() noexcept { return reinterpret_cast<T*>(bytes_); }

 private:
  alignas(64) unsigned char bytes_[Count * sizeof(T)]{};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ZEROS_HPP
