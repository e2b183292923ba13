// SPDX-License-Identifier: Apache-2.0
//
// What a user adds to a custom profile: any pointer, any integral or enum value, any trivially
// copyable handle of at most 16 bytes. Keys are compared by their bits: 5 and
// reinterpret_cast<void*>(5) are the same key, as are int{-1} and std::int64_t{-1}.
#ifndef WHENCE_CORE_KEY_HPP
#define WHENCE_CORE_KEY_HPP

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <whence/tables/wide_key.hpp>

namespace whence::inline v1 {

class profile_key {
 public:
  template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
  constexpr profile_key(T value) noexcept : bits_{static_cast<std::uint64_t>(value), 0} {
    static_assert(sizeof(T) <= sizeof(std::uint64_t));
  }

  template <class T>
  requires std::is_pointer_v<T> profile_key(T pointer)
  noexcept : bits_{reinterpret_cast<std::uintptr_t>(pointer), 0} {}

  // The padding of a handle would be compared, too, and is unwritten, so padding is refused.
  template <class T>
  requires(std::is_class_v<T>&& std::is_trivially_copyable_v<T> && sizeof(T) <= 16 &&
           std::has_unique_object_representations_v<T>) profile_key(const T& handle)
  noexcept : bits_{0, 0}, wide_(sizeof(T) > sizeof(std::uint64_t)) {
    std::memcpy(&bits_, &handle, sizeof handle);
  }

  bool wide() const noexcept { return wide_; }
  std::uint64_t narrow_bits() const noexcept { return bits_.low; }
  const tables::wide_key& wide_bits() const noexcept { return bits_; }

 private:
  tables::wide_key bits_;
  bool wide_ = false;
};

}  // namespace whence::inline v1

#endif  // WHENCE_CORE_KEY_HPP
