// SPDX-License-Identifier: Apache-2.0
//
// The 20 operators of <whence/malloc.hpp>: jumps through their entries (next_operators.hpp). It
// defines them, so malloc.hpp alone includes it.
#ifndef WHENCE_INSTRUMENTS_MALLOC_OPERATORS_HPP
#define WHENCE_INSTRUMENTS_MALLOC_OPERATORS_HPP

#include <cstddef>
#include <new>

#include <whence/instruments/next_operators.hpp>

void* operator new(std::size_t bytes) {
  return whence::instruments::operator_entries[0].new_one(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return whence::instruments::operator_entries[0].new_aligned(bytes, alignment);
}
void* operator new(std::size_t bytes, const std::nothrow_t& tag) noexcept {
  return whence::instruments::operator_entries[0].new_nothrow(bytes, tag);
}
void* operator new(std::size_t bytes, std::align_val_t alignment,
                   const std::nothrow_t& tag) noexcept {
  return whence::instruments::operator_entries[0].new_aligned_nothrow(bytes, alignment, tag);
}
void operator delete(void* block) noexcept {
  whence::instruments::operator_entries[0].delete_one(block);
}
void operator delete(void* block, std::size_t bytes) noexcept {
  whence::instruments::operator_entries[0].delete_sized(block, bytes);
}
void operator delete(void* block, std::align_val_t alignment) noexcept {
  whence::instruments::operator_entries[0].delete_aligned(block, alignment);
}
void operator delete(void* block, std::size_t bytes, std::align_val_t alignment) noexcept {
  whence::instruments::operator_entries[0].delete_sized_aligned(block, bytes, alignment);
}
void operator delete(void* block, const std::nothrow_t& tag) noexcept {
  whence::instruments::operator_entries[0].delete_nothrow(block, tag);
}
void operator delete(void* block, std::align_val_t alignment, const std::nothrow_t& tag) noexcept {
  whence::instruments::operator_entries[0].delete_aligned_nothrow(block, alignment, tag);
}
void* operator new[](std::size_t bytes) {
  return whence::instruments::operator_entries[1].new_one(bytes);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return whence::instruments::operator_entries[1].new_aligned(bytes, alignment);
}
void* operator new[](std::size_t bytes, const std::nothrow_t& tag) noexcept {
  return whence::instruments::operator_entries[1].new_nothrow(bytes, tag);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment,
                     const std::nothrow_t& tag) noexcept {
  return whence::instruments::operator_entries[1].new_aligned_nothrow(bytes, alignment, tag);
}
void operator delete[](void* block) noexcept {
  whence::instruments::operator_entries[1].delete_one(block);
}
void operator delete[](void* block, std::size_t bytes) noexcept {
  whence::instruments::operator_entries[1].delete_sized(block, bytes);
}
void operator delete[](void* block, std::align_val_t alignment) noexcept {
  whence::instruments::operator_entries[1].delete_aligned(block, alignment);
}
void operator delete[](void* block, std::size_t bytes, std::align_val_t alignment) noexcept {
  whence::instruments::operator_entries[1].delete_sized_aligned(block, bytes, alignment);
}
void operator delete[](void* block, const std::nothrow_t& tag) noexcept {
  whence::instruments::operator_entries[1].delete_nothrow(block, tag);
}
void operator delete[](void* block, std::align_val_t alignment,
                       const std::nothrow_t& tag) noexcept {
  whence::instruments::operator_entries[1].delete_aligned_nothrow(block, alignment, tag);
}

#endif  // WHENCE_INSTRUMENTS_MALLOC_OPERATORS_HPP
