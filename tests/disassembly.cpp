// SPDX-License-Identifier: Apache-2.0
//
// What disassembly.sh compiles, once with std::allocator<int> and once with an allocator of ours.
// `type` and `pair` are what a user's hot code does; the rest follows from them.
#include <cstddef>
#include <memory>
#include <vector>

#include <whence/allocator.hpp>

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

static_assert(sizeof(std::vector<int, type>) == sizeof(std::vector<int>));
