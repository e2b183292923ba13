// SPDX-License-Identifier: Apache-2.0
#ifndef WHENCE_TESTS_POOL_ALLOCATOR_HPP
#define WHENCE_TESTS_POOL_ALLOCATOR_HPP

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

#include <whence/allocator.hpp>

namespace whence_tests {

// An upstream with state, which counts its requests and fails on demand. It may be asked for more
// than is needed.
struct pool {
  std::size_t live_blocks = 0;
  std::size_t live_bytes = 0;
  bool fails = false;
};
template <class T>
struct pool_allocator {
  using value_type = T;
  using propagate_on_container_swap = std::true_type;
  pool* from;

  explicit pool_allocator(pool& p) : from(&p) {}
  template <class U>
  pool_allocator(const pool_allocator<U>& other) : from(other.from) {}
  T* allocate(std::size_t n) {
    if (from->fails) throw std::bad_alloc();
    ++from->live_blocks;
    from->live_bytes += n * sizeof(T);
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    --from->live_blocks;
    from->live_bytes -= n * sizeof(T);
    std::allocator<T>().deallocate(p, n);
  }
  friend bool operator==(const pool_allocator&, const pool_allocator&) = default;
};
}  // namespace whence_tests

template <class T>
inline constexpr bool whence::may_overallocate<whence_tests::pool_allocator<T>> = true;

#endif  // WHENCE_TESTS_POOL_ALLOCATOR_HPP
