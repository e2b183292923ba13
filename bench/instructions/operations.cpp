// SPDX-License-Identifier: Apache-2.0
//
// Each operation has a twin of the standard library. `nothing` is the cost of the call, which
// bench/instructions.py subtracts from all others.
#include "operations.hpp"

#include <cstddef>
#include <mutex>
#include <shared_mutex>
#include <string_view>

#include <whence/allocator.hpp>
#include <whence/labels.hpp>
#include <whence/mutex.hpp>
#include <whence/tracked.hpp>

namespace {

struct block {
  char bytes[64];
};

// An allocator without cost, so that the figure is what tracking_allocator adds. Its one block does
// not begin at a page.
alignas(4096) char memory[4096];
template <class T>
struct one_block {
  using value_type = T;
  T* allocate(std::size_t) noexcept { return reinterpret_cast<T*>(memory + 64); }
  void deallocate(T*, std::size_t) noexcept {}
  friend bool operator==(one_block, one_block) noexcept { return true; }
};

}  // namespace

template <>
inline constexpr bool whence::may_overallocate<one_block<block>> = true;

namespace {

void use(block* p) {
  asm volatile("" : : "r"(p) : "memory");
}

block* some_block() {
  block* p = reinterpret_cast<block*>(memory + 64);
  asm volatile("" : "+r"(p));
  return p;
}

template <class Allocator>
void allocate() {
  Allocator a;
  use(a.allocate(1));
}

template <class Allocator>
void deallocate() {
  Allocator a;
  a.deallocate(some_block(), 1);
}

template <class Allocator>
void allocate_and_deallocate() {
  Allocator a;
  block* const p = a.allocate(1);
  use(p);
  a.deallocate(p, 1);
}

template <class M>
constinit M mutex{};

template <class M>
void lock_and_unlock() {
  mutex<M>.lock();
  asm volatile("" : : : "memory");
  mutex<M>.unlock();
}

template <class M>
void lock_and_unlock_shared() {
  mutex<M>.lock_shared();
  asm volatile("" : : : "memory");
  mutex<M>.unlock_shared();
}

void entry() {
  const whence::tracked<whence::custom_profile<"bench.sessions">> session;
  asm volatile("" : : "r"(&session) : "memory");
}

void label_from_text() {
  std::string_view path = "/search/by-name";
  asm volatile("" : "+m"(path));
  const whence::scoped_labels scope{{"handler", path}};
  asm volatile("" : : "r"(&scope) : "memory");
}

void set_of_labels() {
  static const whence::labels set{{"handler", "/search/by-name"}};
  const whence::scoped_labels scope(set);
  asm volatile("" : : "r"(&scope) : "memory");
}

void nothing() {
  asm volatile("" : : : "memory");
}

constexpr operation all[] = {
    {"nothing", nothing},
    {"allocate",
     allocate<whence::tracking_allocator<block, whence::default_registry, one_block<block>>>},
    {"allocate/std", allocate<one_block<block>>},
    {"deallocate",
     deallocate<whence::tracking_allocator<block, whence::default_registry, one_block<block>>>},
    {"deallocate/std", deallocate<one_block<block>>},
    {"new and delete", allocate_and_deallocate<whence::tracking_allocator<block>>},
    {"new and delete/std", allocate_and_deallocate<std::allocator<block>>},
    {"tracked_mutex", lock_and_unlock<whence::tracked_mutex<>>},
    {"tracked_mutex/std", lock_and_unlock<std::mutex>},
    {"whence::mutex", lock_and_unlock<whence::mutex>},
    {"whence::mutex/std", lock_and_unlock<std::mutex>},
    {"shared lock", lock_and_unlock_shared<whence::tracked_mutex<std::shared_mutex>>},
    {"shared lock/std", lock_and_unlock_shared<std::shared_mutex>},
    {"tracked entry", entry},
    {"label from text", label_from_text},
    {"set of labels", set_of_labels},
};

}  // namespace

std::span<const operation> operations() {
  return all;
}
