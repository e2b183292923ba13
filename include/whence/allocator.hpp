// SPDX-License-Identifier: Apache-2.0
//
// tracking_allocator: an allocator whose memory shows in the profiles `heap` and `allocs`.
//
//   std::vector<int, whence::tracking_allocator<int>> v;                       // heap, allocs
//   using storage = whence::named_registry<"storage">;
//   std::map<K, V, std::less<>, whence::tracking_allocator<std::pair<const K, V>, storage>> m;
//
// It is a sample: set_heap_profile_rate (<whence/knobs.hpp>) says how dense, and the profile is
// scaled to the whole. The label `type` says what T is. The allocator meets the allocator
// requirements, rebinds, and propagates and compares as Upstream does. In constant evaluation it
// forwards to Upstream; with null_registry, tracking_allocator is Upstream itself.
//
// Thread-safe: blocks may be freed by any thread, even after the thread that allocated them has
// ended. Cost: 7 instructions for an allocation and its deallocation that are not sampled (x86-64).
// A sampled block costs its stack, a map entry, and up to 4 KiB: it is asked for larger and handed
// out at a page boundary, so that its deallocation can be recognized.
//
// Only blocks of std::allocator are aligned this way, because Upstream must allow to be asked for
// more than its container needs, and must get all memory back through deallocate (an arena that is
// released as a whole does not). An allocator of your own that allows both says so by
//   template <class T> inline constexpr bool whence::may_overallocate<my_allocator<T>> = true;
// Over every other Upstream, each deallocation looks into a filter instead, which takes about 2 ns.
#ifndef WHENCE_ALLOCATOR_HPP
#define WHENCE_ALLOCATOR_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <cstdint>
#include <scoped_allocator>  // std::allocator and its traits, at a third of what <memory> costs
#include <type_traits>

#include <whence/instruments/heap.hpp>
#include <whence/instruments/sample_countdown.hpp>
#include <whence/instruments/tag.hpp>
#include <whence/instruments/type_text.hpp>
#include <whence/knobs.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>
#include <whence/sys/block_tail_call.hpp>

namespace whence::inline v1 {

template <class Upstream>
inline constexpr bool may_overallocate = false;
template <class T>
inline constexpr bool may_overallocate<std::allocator<T>> = true;

template <class T, profile_registry R, class Upstream>
class basic_tracking_allocator {
  using traits = std::allocator_traits<Upstream>;
  static_assert(std::is_same_v<typename traits::value_type, T>,
                "tracking_allocator<T, R, Upstream>: Upstream must allocate T");

 public:
  using value_type = T;
  using pointer = typename traits::pointer;
  using const_pointer = typename traits::const_pointer;
  using void_pointer = typename traits::void_pointer;
  using const_void_pointer = typename traits::const_void_pointer;
  using size_type = typename traits::size_type;
  using difference_type = typename traits::difference_type;
  using propagate_on_container_copy_assignment =
      typename traits::propagate_on_container_copy_assignment;
  using propagate_on_container_move_assignment =
      typename traits::propagate_on_container_move_assignment;
  using propagate_on_container_swap = typename traits::propagate_on_container_swap;
  using is_always_equal = typename traits::is_always_equal;

  template <class U>
  struct rebind {
    using other = basic_tracking_allocator<U, R, typename traits::template rebind_alloc<U>>;
  };

  constexpr basic_tracking_allocator() noexcept(
      std::is_nothrow_default_constructible_v<Upstream>) requires
      std::is_default_constructible_v<Upstream>
  = default;
  constexpr basic_tracking_allocator(const Upstream& upstream) noexcept : upstream_(upstream) {}
  template <class U, class OtherUpstream>
  requires std::is_constructible_v<Upstream, const OtherUpstream&>
  constexpr basic_tracking_allocator(
      const basic_tracking_allocator<U, R, OtherUpstream>& other) noexcept
      : upstream_(other.upstream()) {}

  // Throws: what Upstream throws; nothing is recorded then.
  [[nodiscard]] constexpr pointer allocate(size_type n) {
    if (!std::is_constant_evaluated() && n <= largest && instruments::countdown(n * sizeof(T)))
        [[unlikely]] {
      const pointer p = allocate_sampled(n);
      sys::block_tail_call();
      return p;
    }
    return traits::allocate(upstream_, n);
  }

  // C++23's allocate_at_least, if Upstream has it.
  [[nodiscard]] constexpr auto allocate_at_least(size_type n) requires requires(Upstream& u) {
    u.allocate_at_least(n);
  }
  {
    if (!std::is_constant_evaluated() && n <= largest && instruments::countdown(n * sizeof(T)))
        [[unlikely]] {
      const auto got = allocate_at_least_sampled(n);
      sys::block_tail_call();
      return got;
    }
    return upstream_.allocate_at_least(n);
  }

  constexpr void deallocate(pointer p, size_type n) noexcept {
    if (!std::is_constant_evaluated() &&
        (!taggable || instruments::may_be_sampled(std::to_address(p)))) [[unlikely]] {
      return deallocate_sampled(p, n);
    }
    traits::deallocate(upstream_, p, n);
  }

  constexpr size_type max_size() const noexcept { return traits::max_size(upstream_); }

  template <class U, class... Arguments>
  requires requires(Upstream& u, U* p, Arguments&&... a) {
    u.construct(p, static_cast<Arguments&&>(a)...);
  }
  constexpr void construct(U* p, Arguments&&... arguments) {
    upstream_.construct(p, static_cast<Arguments&&>(arguments)...);
  }
  template <class U>
  requires requires(Upstream& u, U* p) { u.destroy(p); }
  constexpr void destroy(U* p) { upstream_.destroy(p); }

  constexpr basic_tracking_allocator select_on_container_copy_construction() const {
    return basic_tracking_allocator(traits::select_on_container_copy_construction(upstream_));
  }

  constexpr const Upstream& upstream() const noexcept { return upstream_; }

  template <class U, class OtherUpstream>
  friend constexpr bool operator==(
      const basic_tracking_allocator& a,
      const basic_tracking_allocator<U, R, OtherUpstream>& b) noexcept {
    if constexpr (is_always_equal::value) {
      return true;
    } else {
      return a.upstream_ == Upstream(b.upstream());
    }
  }

 private:
  static constexpr size_type largest = instruments::largest_counted / sizeof(T);
  static constexpr bool taggable = may_overallocate<Upstream> && std::is_same_v<pointer, T*> &&
                                   sizeof(T) <= instruments::tag_alignment &&
                                   alignof(T) <= instruments::tag_alignment;
  // The objects asked for in addition, so that a page boundary lies in the block.
  static constexpr size_type slack = (instruments::tag_alignment + sizeof(T) - 1) / sizeof(T);

  // Hidden, because the countdown that led here is this module's (countdown.hpp).
  [[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] pointer allocate_sampled(size_type n) {
    const std::int64_t rate = instruments::due<R>(n * sizeof(T));
    const void* const caller = __builtin_return_address(0);
    if (rate != 0 && tags_at(rate)) {
      if constexpr (taggable) {
        const auto block =
            instruments::try_tag<T>([&] { return traits::allocate(upstream_, n + slack); });
        if (recorded(block, n, rate, caller)) return block.it;
        if (block.it != nullptr) traits::deallocate(upstream_, block.upstreams(), n + slack);
      }
    }
    const pointer p = traits::allocate(upstream_, n);
    if (rate != 0 && !tags_at(rate)) {
      instruments::record_block<R>(std::to_address(p), n * sizeof(T), rate, instruments::untagged,
                                   caller, instruments::type_text<T>::it.text);
    }
    return p;
  }

  [[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] auto allocate_at_least_sampled(
      size_type n) {
    const std::int64_t rate = instruments::due<R>(n * sizeof(T));
    const void* const caller = __builtin_return_address(0);
    if (rate != 0 && tags_at(rate)) {
      if constexpr (taggable) {
        auto got = decltype(upstream_.allocate_at_least(n)){};
        const auto block = instruments::try_tag<T>([&] {
          got = upstream_.allocate_at_least(n + slack);
          return got.ptr;
        });
        if (recorded(block, n, rate, caller)) {
          got.ptr = block.it;
          got.count -= slack;
          return got;
        }
        if (block.it != nullptr) traits::deallocate(upstream_, block.upstreams(), n + slack);
      }
    }
    const auto got = upstream_.allocate_at_least(n);
    if (rate != 0 && !tags_at(rate)) {
      instruments::record_block<R>(std::to_address(got.ptr), n * sizeof(T), rate,
                                   instruments::untagged, caller,
                                   instruments::type_text<T>::it.text);
    }
    return got;
  }

  // True if a block sampled at `rate` must be tagged for its deallocation to recognize it.
  static constexpr bool tags_at(std::int64_t rate) noexcept {
    return taggable && rate >= instruments::smallest_tagging_rate;
  }

  static bool recorded(const instruments::tagged_block<T>& block, size_type n, std::int64_t rate,
                       const void* caller) noexcept {
    return block.it != nullptr &&
           instruments::record_block<R>(block.it, n * sizeof(T), rate, block.shift, caller,
                                        instruments::type_text<T>::it.text);
  }

  [[gnu::noinline, gnu::cold]] void deallocate_sampled(pointer p, size_type n) noexcept {
    const instruments::ended_block ended =
        instruments::end_block<R>(std::to_address(p), n * sizeof(T));
    if constexpr (taggable) {
      if (ended.shift != instruments::untagged) {
        const instruments::tagged_block<T> block{p, ended.shift};
        return traits::deallocate(upstream_, block.upstreams(), n + slack);
      }
    }
    traits::deallocate(upstream_, p, n);
  }

  [[no_unique_address]] Upstream upstream_{};
};

}  // namespace whence::inline v1

#endif  // WHENCE_ALLOCATOR_HPP
