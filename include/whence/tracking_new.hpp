// SPDX-License-Identifier: Apache-2.0
//
// tracking_new: a base class whose derived classes show in the profiles `heap` and `allocs` if they
// are made by `new`, without a change where they are made.
//
//   struct node : whence::tracking_new<> { ... };                             // heap, allocs
//   struct page : whence::tracking_new<whence::named_registry<"storage">> {}; // storage.heap, ...
//   auto n = std::make_unique<node>();
//
// It has the class-scope operators new, new[], delete and delete[], with and without an alignment
// or std::nothrow, and no data. A derived class inherits them; objects that are members, elements
// of containers or made by std::make_shared are not made by them. With null_registry the operators
// call the global ones and record nothing.
//
// It is a sample, as of <whence/allocator.hpp>; a sampled object lies at a page boundary. If the
// program includes <whence/new_delete.hpp> or <whence/malloc.hpp>, the default registry only
// forwards. `::delete` of such an object is undefined, as it is for any class with operators of its
// own.
//
// Thread-safe. Cost: 7 instructions for an object that is not sampled (x86-64).
#ifndef WHENCE_TRACKING_NEW_HPP
#define WHENCE_TRACKING_NEW_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/instruments/heap.hpp>
#include <whence/instruments/sample_countdown.hpp>
#include <whence/instruments/sized_block.hpp>
#include <whence/knobs.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>
#include <whence/sys/block_tail_call.hpp>

namespace whence::inline v1 {

namespace instruments {

// The global operators behind the class-scope ones. A sampled block is asked for with the alignment
// of a page, which its entry remembers.
template <class R>
struct class_scope {
  // Throws: std::bad_alloc if `Throws`, else returns nullptr; nothing is recorded then.
  template <bool Throws>
  [[gnu::always_inline]] static void* allocate(std::size_t bytes) noexcept(!Throws) {
    if constexpr (R::enabled) {
      if (bytes <= largest_counted && countdown(bytes)) [[unlikely]] {
        void* const block = allocate_sampled<Throws>(bytes, default_alignment);
        sys::block_tail_call();
        return block;
      }
    }
    return ask<Throws>(bytes, default_alignment);
  }
  template <bool Throws>
  [[gnu::always_inline]] static void* allocate(std::size_t bytes,
                                               std::align_val_t alignment) noexcept(!Throws) {
    if constexpr (R::enabled) {
      if (bytes <= largest_counted && countdown(bytes)) [[unlikely]] {
        void* const block = allocate_sampled<Throws>(bytes, static_cast<std::size_t>(alignment));
        sys::block_tail_call();
        return block;
      }
    }
    return ask<Throws>(bytes, static_cast<std::size_t>(alignment));
  }

  [[gnu::always_inline]] static void deallocate(void* block) noexcept {
    if constexpr (R::enabled) {
      if (may_be_sampled(block) && end_sampled(block)) [[unlikely]]
        return ::operator delete(block, page);
    }
    ::operator delete(block);
  }
  [[gnu::always_inline]] static void deallocate(void* block, std::align_val_t alignment) noexcept {
    if constexpr (R::enabled) {
      if (may_be_sampled(block) && end_sampled(block)) [[unlikely]]
        return ::operator delete(block, page);
    }
    if (static_cast<std::size_t>(alignment) <= default_alignment) return ::operator delete(block);
    ::operator delete(block, alignment);
  }

 private:
  static constexpr std::size_t default_alignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  static constexpr std::align_val_t page{tag_alignment};

  template <bool Throws>
  [[gnu::always_inline]] static void* ask(std::size_t bytes, std::size_t alignment) {
    const std::align_val_t align{alignment};
    if constexpr (Throws) {
      return alignment <= default_alignment ? ::operator new(bytes) : ::operator new(bytes, align);
    } else {
      return alignment <= default_alignment ? ::operator new(bytes, std::nothrow)
                                            : ::operator new(bytes, align, std::nothrow);
    }
  }

  template <bool Throws>
  [[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] static void* allocate_sampled(
      std::size_t bytes, std::size_t alignment) {
    const std::int64_t rate = due<R>(bytes);
    const void* const caller = __builtin_return_address(0);
    const bool aligns = rate >= smallest_tagging_rate && alignment < static_cast<std::size_t>(page);
    void* const block = ask<Throws>(bytes, aligns ? static_cast<std::size_t>(page) : alignment);
    if (rate == 0 || block == nullptr) return block;
    const recorder* const r = recorder_here();
    if (r != nullptr && r->record_sized(R::heap(), block, bytes, aligns ? tag_alignment : 0, rate,
                                        caller, nullptr)) {
      return block;
    }
    if (!aligns) return block;
    // Its end would be taken for that of a block without this alignment.
    ::operator delete(block, page);
    return ask<Throws>(bytes, alignment);
  }

  // True if the block was sampled and got the alignment of a page for it.
  [[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] static bool end_sampled(
      const void* block) noexcept {
    const recorder* const r = block == nullptr ? nullptr : recorder_here();
    if (r == nullptr) return false;
    const sized_block taken = r->take_sized(R::heap(), block);
    if (taken.sampled()) r->settle_sized(taken, nullptr);
    return taken.usable == tag_alignment;
  }
};

}  // namespace instruments

template <profile_registry R>
class tracking_new {
  using upstream = instruments::class_scope<R>;

 public:
  static void* operator new(std::size_t bytes) { return upstream::template allocate<true>(bytes); }
  static void* operator new[](std::size_t bytes) {
    return upstream::template allocate<true>(bytes);
  }
  static void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return upstream::template allocate<true>(bytes, alignment);
  }
  static void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return upstream::template allocate<true>(bytes, alignment);
  }

  static void operator delete(void* block) noexcept { upstream::deallocate(block); }
  static void operator delete[](void* block) noexcept { upstream::deallocate(block); }
  static void operator delete(void* block, std::align_val_t alignment) noexcept {
    upstream::deallocate(block, alignment);
  }
  static void operator delete[](void* block, std::align_val_t alignment) noexcept {
    upstream::deallocate(block, alignment);
  }

  // A class that declares an operator new hides all global forms.
  static void* operator new(std::size_t, void* place) noexcept { return place; }
  static void* operator new[](std::size_t, void* place) noexcept { return place; }
  static void operator delete(void*, void*) noexcept {}
  static void operator delete[](void*, void*) noexcept {}

  static void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return upstream::template allocate<false>(bytes);
  }
  static void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return upstream::template allocate<false>(bytes);
  }
  static void* operator new(std::size_t bytes, std::align_val_t alignment,
                            const std::nothrow_t&) noexcept {
    return upstream::template allocate<false>(bytes, alignment);
  }
  static void* operator new[](std::size_t bytes, std::align_val_t alignment,
                              const std::nothrow_t&) noexcept {
    return upstream::template allocate<false>(bytes, alignment);
  }
  static void operator delete(void* block, const std::nothrow_t&) noexcept {
    upstream::deallocate(block);
  }
  static void operator delete[](void* block, const std::nothrow_t&) noexcept {
    upstream::deallocate(block);
  }
  static void operator delete(void* block, std::align_val_t alignment,
                              const std::nothrow_t&) noexcept {
    upstream::deallocate(block, alignment);
  }
  static void operator delete[](void* block, std::align_val_t alignment,
                                const std::nothrow_t&) noexcept {
    upstream::deallocate(block, alignment);
  }

 protected:
  tracking_new() = default;
  ~tracking_new() = default;
};

}  // namespace whence::inline v1

#endif  // WHENCE_TRACKING_NEW_HPP
