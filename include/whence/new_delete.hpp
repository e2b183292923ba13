// SPDX-License-Identifier: Apache-2.0
//
// Include this in one source file of a program. The profiles `heap` and `allocs` then show what the
// whole program makes by `new`, the standard containers' memory among it, without a change of code.
//
//   #include <whence/new_delete.hpp>                             // in one file of the program
//
// It defines the 20 global operators new and delete that a program may replace, over malloc and
// posix_memalign. A file that includes it has tracking_new too (<whence/tracking_new.hpp>), which
// shows one class hierarchy and may be included in any file.
//
// It is a sample, as of <whence/allocator.hpp>. The default registry's tracking instruments only
// forward beside it, because they would count twice; those of other registries go on. What is
// asked of malloc itself is not seen: see <whence/malloc.hpp>, which must not be linked together
// with this page, and beside which, if it is preloaded, this page only forwards.
//
// It works in a program that is linked statically or built with -fno-exceptions. In one built with
// a sanitizer, or with WHENCE_DISABLE, it defines nothing.
//
// Thread-safe. Throws: as the operators of the standard library do; the program's new_handler is
// called. Cost: less than the standard library's operators, which it saves.
#ifndef WHENCE_NEW_DELETE_HPP
#define WHENCE_NEW_DELETE_HPP

#include <whence/config.hpp>

#include <whence/tracking_new.hpp>

#if WHENCE_REPLACES_ALLOCATOR

#if defined(WHENCE_MALLOC_HPP)
#error "<whence/malloc.hpp> replaces these operators, too: include one of the two pages"
#endif

#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/instruments/operator_new.hpp>
#include <whence/instruments/program_heap.hpp>
#include <whence/instruments/program_new.hpp>

void* operator new(std::size_t bytes) {
  return whence::instruments::program_new(bytes, __builtin_return_address(0));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return whence::instruments::program_new(bytes, alignment, __builtin_return_address(0));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return whence::instruments::program_new_nothrow(bytes, __builtin_return_address(0));
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return whence::instruments::program_new_nothrow(bytes, alignment, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes) {
  return whence::instruments::program_new(bytes, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return whence::instruments::program_new(bytes, alignment, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return whence::instruments::program_new_nothrow(bytes, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment,
                     const std::nothrow_t&) noexcept {
  return whence::instruments::program_new_nothrow(bytes, alignment, __builtin_return_address(0));
}

void operator delete(void* block) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete(void* block, std::size_t) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete[](void* block) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete[](void* block, std::size_t) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete[](void* block, std::align_val_t) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete[](void* block, const std::nothrow_t&) noexcept {
  whence::instruments::program_delete(block);
}
void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  whence::instruments::program_delete(block);
}

#endif  // WHENCE_REPLACES_ALLOCATOR

#endif  // WHENCE_NEW_DELETE_HPP
