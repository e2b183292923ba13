// SPDX-License-Identifier: Apache-2.0
//
// tracking_resource: a std::pmr::memory_resource whose memory shows in the profiles `heap` and
// `allocs`, over any other.
//
//   whence::tracking_resource tracked;                   // over std::pmr::get_default_resource()
//   std::pmr::vector<int> v(&tracked);
//
// What <whence/allocator.hpp> says of sampling and cost holds here too. Thread-safe if upstream is.
// With null_registry it only forwards. Throws: what upstream throws; nothing is recorded then.
#ifndef WHENCE_MEMORY_RESOURCE_HPP
#define WHENCE_MEMORY_RESOURCE_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <cstdint>
#include <memory_resource>

#include <whence/instruments/heap.hpp>
#include <whence/instruments/sample_countdown.hpp>
#include <whence/instruments/tag.hpp>
#include <whence/knobs.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>
#include <whence/sys/block_tail_call.hpp>

namespace whence::inline v1 {

template <profile_registry R>
class basic_tracking_resource : public std::pmr::memory_resource {
 public:
  basic_tracking_resource() noexcept : basic_tracking_resource(std::pmr::get_default_resource()) {}
  explicit basic_tracking_resource(std::pmr::memory_resource* upstream) noexcept
      : upstream_(upstream), overallocates_(upstream == std::pmr::new_delete_resource()) {}

  std::pmr::memory_resource* upstream_resource() const noexcept { return upstream_; }

 protected:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if constexpr (R::enabled) {
      if (bytes <= instruments::largest_counted && instruments::countdown(bytes)) [[unlikely]] {
        void* const p = allocate_sampled(bytes, alignment);
        sys::block_tail_call();
        return p;
      }
    }
    return upstream_->allocate(bytes, alignment);
  }

  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if constexpr (R::enabled) {
      if (!taggable(alignment) || instruments::may_be_sampled(p)) [[unlikely]] {
        return deallocate_sampled(p, bytes, alignment);
      }
    }
    upstream_->deallocate(p, bytes, alignment);
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

 private:
  using block = instruments::tagged_block<std::byte>;
  static constexpr std::size_t slack = instruments::tag_alignment;

  // new_delete_resource allows larger requests, in the sense of whence::may_overallocate. Any other
  // resource may be one that is released as a whole.
  bool taggable(std::size_t alignment) const noexcept {
    return overallocates_ && alignment <= instruments::tag_alignment;
  }

  // Hidden, because the countdown that led here is this module's (sample_countdown.hpp).
  [[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] void* allocate_sampled(
      std::size_t bytes, std::size_t alignment) {
    const std::int64_t rate = instruments::due<R>(bytes);
    const void* const caller = __builtin_return_address(0);
    const bool tags = taggable(alignment) && rate >= instruments::smallest_tagging_rate;
    if (rate != 0 && tags) {
      const block b = instruments::try_tag<std::byte>(
          [&] { return static_cast<std::byte*>(upstream_->allocate(bytes + slack, alignment)); });
      if (b.it != nullptr) {
        if (instruments::record_block<R>(b.it, bytes, rate, b.shift, caller, nullptr)) return b.it;
        upstream_->deallocate(b.upstreams(), bytes + slack, alignment);
      }
    }
    void* const p = upstream_->allocate(bytes, alignment);
    if (rate != 0 && !tags) {
      instruments::record_block<R>(p, bytes, rate, instruments::untagged, caller, nullptr);
    }
    return p;
  }

  [[gnu::noinline, gnu::cold]] void deallocate_sampled(void* p, std::size_t bytes,
                                                       std::size_t alignment) {
    const instruments::ended_block ended = instruments::end_block<R>(p, bytes);
    if (ended.shift == instruments::untagged) return upstream_->deallocate(p, bytes, alignment);
    const block b{static_cast<std::byte*>(p), ended.shift};
    upstream_->deallocate(b.upstreams(), bytes + slack, alignment);
  }

  std::pmr::memory_resource* upstream_;
  bool overallocates_;
};

}  // namespace whence::inline v1

#endif  // WHENCE_MEMORY_RESOURCE_HPP
