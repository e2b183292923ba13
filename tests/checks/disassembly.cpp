// SPDX-License-Identifier: Apache-2.0
//
// Compiled by disassembly.sh, once with std's types and once with ours: a user's hot code with
// them.
#include <cstddef>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include <whence/allocator.hpp>
#include <whence/mutex.hpp>

using type = ALLOCATOR;

void push_back(std::vector<int, type>& numbers, int number) {
  numbers.push_back(number);
}

void resize(std::vector<int, type>& numbers, std::size_t size) {
  numbers.resize(size);
}

int* allocate(type& allocator, std::size_t count) {
  return std::allocator_traits<type>::allocate(allocator, count);
}

void deallocate(type& allocator, int* numbers, std::size_t count) {
  std::allocator_traits<type>::deallocate(allocator, numbers, count);
}

using mutex = MUTEX<std::mutex>;
using shared_mutex = MUTEX<std::shared_timed_mutex>;

void under_lock(mutex& m, int& number) {
  m.lock();
  ++number;
  m.unlock();
}

bool try_under_lock(shared_mutex& m, int& number) {
  std::unique_lock hold(m, std::chrono::milliseconds(5));
  if (hold) ++number;
  return hold.owns_lock();
}

int read_shared(shared_mutex& m, const int& number) {
  std::shared_lock hold(m);
  return number;
}

int lock_both(mutex& a, shared_mutex& b, const int& number) {
  std::scoped_lock hold(a, b);
  return number;
}

mutex constant;

static_assert(sizeof(std::vector<int, type>) == sizeof(std::vector<int>));
