// SPDX-License-Identifier: Apache-2.0
//
// A table of stacks: from a key to its bucket, insert-only. The process has one of permanent
// stacks, and one for each epoch of a sampler (sample_epochs.hpp).
//
// The index is a chain of segments, each twice as large as the one before; a slot holds the upper
// 16 bits of the identity and the bucket's address. A lookup reads one line of the newest segment
// and one line of the bucket.
//
//   oldest                          newest
//   | a . F b . c | --newer-->  | . a . . d . b . . . . . |        F: frozen
//
// Invariants, for a key whose run is the slots from its home to the first one that is empty or
// frozen, `longest_run` at most:
//  (1) A slot changes once: from empty to a bucket, or from empty to frozen. So a run only grows.
//  (2) A new bucket goes to the end of its run in the first segment whose run is not frozen. With a
//      newer segment there, that empty end is frozen first, and the search goes on in the newer:
//      one compare-and-swap on one slot decides, hence a key never gets two buckets.
//  (3) A bucket found in an older segment is entered into the newest as well, for the next lookup.
// Nothing is moved, or freed before all of it is, so readers and writers never wait while a thread
// grows the table.
//
// Signal-safe. Lock-free. Never allocates from the heap, never throws, keeps errno.
#ifndef WHENCE_TABLES_TABLE_HPP
#define WHENCE_TABLES_TABLE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/sys/arena.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/losses.hpp>
#include <whence/tables/pseudo_frame.hpp>
#include <whence/tables/stack_hash.hpp>

namespace whence::inline v1::tables {

class table {
 public:
  // `overflow` tells which loss an event on [overflow] is.
  constexpr table(sys::arena& memory, losses& lost, loss overflow = loss::overflow) noexcept
      : arena_(memory), losses_(lost), overflow_(overflow) {}

  // The bucket of `k` in `list`, made on first sight. Past the memory limit it is the list's
  // [overflow] bucket; nullptr only if the kernel gives no memory even for that. Both are counted.
  bucket* record(bucket_list& list, const key& k) noexcept {
    const hash128 identity = identify(list, k);
    if (segment* const newest = newest_.load(std::memory_order_acquire)) {
      if (bucket* const b = newest->find(identity)) return b;
    }
    return insert(list, k, identity);
  }

  // The bucket of the same stack as `b`, which is in another table's list of the same id. Its
  // events are counted as lost if it is on [overflow] in this table alone.
  bucket* move_in(bucket_list& list, const bucket& b) noexcept {
    if (b.overflow()) return overflow_bucket(list, b.rate);
    const label_values values = b.values();
    return insert(list, {b.stack(), b.number, b.rate, b.labels, b.type, &values}, b.identity, true);
  }

  // The bucket of `k`; nullptr if it was not made yet.
  bucket* known(const bucket_list& list, const key& k) const noexcept {
    const hash128 identity = identify(list, k);
    const segment* s = oldest_.load(std::memory_order_acquire);
    for (; s != nullptr; s = s->newer.load(std::memory_order_acquire)) {
      if (bucket* const b = s->find(identity)) return b;
    }
    return nullptr;
  }

  // Gives all memory back; the budget is its owner's to give back. Requires: no other thread uses
  // the table, its buckets or the arena.
  void release() noexcept {
    segment* s = oldest_.exchange(nullptr, std::memory_order_acquire);
    newest_.store(nullptr, std::memory_order_relaxed);
    while (s != nullptr) {
      segment* const newer = s->newer.load(std::memory_order_relaxed);
      s->unmap();
      s = newer;
    }
    arena_.release();
  }

  static hash128 identify(const bucket_list& list, const key& k) noexcept {
    hasher h;
    std::size_t i = 0;
    for (; i + 1 < k.stack.depth; i += 2) h.add(k.stack.pcs[i], k.stack.pcs[i + 1]);
    // The depth distinguishes an unpaired last address from one that a zero follows.
    h.add(i < k.stack.depth ? k.stack.pcs[i] : 0, (std::uint64_t{k.labels} << 32) | k.stack.depth);
    const std::uint64_t flags = (k.stack.truncated ? 2U : 0U) | (k.stack.leaf_is_ip ? 1U : 0U);
    // The word has 44 bits of rate, 18 of list and flags.
    h.add((static_cast<std::uint64_t>(k.rate) << 18) | (std::uint64_t{list.id} << 2) | flags,
          k.number);
    if (k.type != nullptr) h.add(reinterpret_cast<std::uintptr_t>(k.type), 0);
    return h.finish();
  }

 private:
  class segment {
   public:
    static segment* create(std::size_t slots, sys::memory_budget& budget) noexcept {
      if (!budget.take(bytes(slots))) return nullptr;
      void* const pages = sys::map_pages(bytes(slots));
      if (pages == nullptr) {
        budget.give_back(bytes(slots));
        return nullptr;
      }
      return ::new (pages) segment(slots - 1);
    }
    void destroy_unpublished(sys::memory_budget& budget) noexcept {
      budget.give_back(bytes(capacity()));
      unmap();
    }
    void unmap() noexcept { sys::unmap_pages(this, bytes(capacity())); }

    bucket* find(const hash128& identity) const noexcept {
      for (std::size_t i = 0; i < longest_run; ++i) {
        // Acquire pairs with the release of `enter`: the bucket is complete.
        const std::uint64_t slot = slot_at(identity, i).load(std::memory_order_acquire);
        if (slot <= frozen) return nullptr;
        if (bucket* const b = match(slot, identity)) return b;
      }
      return nullptr;
    }

    // Enters a bucket that is already in an older segment.
    void promote(bucket* b) noexcept {
      for (std::size_t i = 0; i < longest_run; ++i) {
        std::atomic<std::uint64_t>& place = slot_at(b->identity, i);
        std::uint64_t slot = place.load(std::memory_order_acquire);
        if (slot == empty && enter(place, slot, b)) return;
        if (slot == frozen || match(slot, b->identity) == b) return;
      }
    }

    // On failure `slot` is what another thread wrote.
    bool enter(std::atomic<std::uint64_t>& place, std::uint64_t& slot, bucket* b) noexcept {
      const std::uint64_t full = tag(b->identity) | reinterpret_cast<std::uintptr_t>(b);
      if (!place.compare_exchange_strong(slot, full, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
        return false;
      }
      used_.fetch_add(1, std::memory_order_relaxed);
      return true;
    }

    std::atomic<std::uint64_t>& slot_at(const hash128& identity, std::size_t i) const noexcept {
      return slots()[(identity.low + i) & mask_];
    }
    static bucket* match(std::uint64_t slot, const hash128& identity) noexcept {
      if ((slot & tag_bits) != tag(identity)) return nullptr;
      auto* const b = reinterpret_cast<bucket*>(slot & ~tag_bits);
      return b->identity == identity ? b : nullptr;
    }
    bool half_full() const noexcept {
      return used_.load(std::memory_order_relaxed) > capacity() / 2;
    }
    std::size_t capacity() const noexcept { return mask_ + 1; }

    std::atomic<segment*> newer{nullptr};

   private:
    explicit segment(std::size_t mask) noexcept : mask_(mask) {}

    static constexpr std::size_t header_bytes = sys::cache_line;
    static constexpr std::size_t bytes(std::size_t slots) noexcept {
      return header_bytes + slots * sizeof(std::atomic<std::uint64_t>);
    }
    static constexpr std::uint64_t tag_bits = std::uint64_t{0xffff} << 48;
    static std::uint64_t tag(const hash128& identity) noexcept { return identity.high & tag_bits; }
    std::atomic<std::uint64_t>* slots() const noexcept {
      return reinterpret_cast<std::atomic<std::uint64_t>*>(reinterpret_cast<std::uintptr_t>(this) +
                                                           header_bytes);
    }

    std::size_t mask_;
    std::atomic<std::size_t> used_{0};
  };

  static constexpr std::uint64_t empty = 0;
  static constexpr std::uint64_t frozen = 1;
  static constexpr std::size_t first_slots = 1024;
  static constexpr std::size_t longest_run = 64;

  [[gnu::noinline, gnu::cold]] bucket* insert(bucket_list& list, const key& k,
                                              const hash128& identity,
                                              bool is_moved = false) noexcept {
    bucket* fresh = nullptr;
    for (segment* s = oldest(); s != nullptr; s = next(s)) {
      for (std::size_t i = 0; i < longest_run; ++i) {
        std::atomic<std::uint64_t>& place = s->slot_at(identity, i);
        std::uint64_t slot = place.load(std::memory_order_acquire);
        if (slot == empty) {
          if (s->newer.load(std::memory_order_acquire) != nullptr) {
            if (place.compare_exchange_strong(slot, frozen, std::memory_order_acq_rel,
                                              std::memory_order_acquire)) {
              break;
            }
          } else {
            if (fresh == nullptr) fresh = make_bucket(list, k, identity);
            if (fresh == nullptr) return overflow(list, k.rate);
            if (s->enter(place, slot, fresh)) {
              list.push(fresh);
              if (k.stack.truncated && !is_moved) losses_.count(loss::truncated);
              if (s->half_full()) grow(s);
              return fresh;
            }
          }
        }
        if (slot == frozen) break;
        if (bucket* const b = segment::match(slot, identity)) {
          segment* const newest = newest_.load(std::memory_order_acquire);
          if (newest != nullptr && newest != s) {
            newest->promote(b);
            if (newest->half_full()) grow(newest);
          }
          return b;
        }
      }
    }
    return overflow(list, k.rate);
  }

  segment* oldest() noexcept {
    segment* const first = publish(oldest_, first_slots);
    segment* none = nullptr;
    if (first != nullptr) newest_.compare_exchange_strong(none, first, std::memory_order_acq_rel);
    return first;
  }

  // The run in `s` is full or frozen: the search goes on in the newer segment, which is made if it
  // is missing.
  segment* next(segment* s) noexcept {
    segment* const newer = s->newer.load(std::memory_order_acquire);
    return newer != nullptr ? newer : grow(s);
  }

  segment* grow(segment* s) noexcept {
    segment* const newer = publish(s->newer, 2 * s->capacity());
    // Fails if another thread went further already.
    if (newer != nullptr) newest_.compare_exchange_strong(s, newer, std::memory_order_acq_rel);
    return newer;
  }

  segment* publish(std::atomic<segment*>& place, std::size_t slots) noexcept {
    return sys::publish_once(
        place, [&] { return segment::create(slots, arena_.budget()); },
        [&](segment* late) { late->destroy_unpublished(arena_.budget()); });
  }

  bucket* make_bucket(const bucket_list& list, const key& k, const hash128& identity) noexcept {
    return fill(arena_.allocate(bytes_for(k)), list, k, identity);
  }

  static std::size_t bytes_for(const key& k) noexcept {
    return bucket::bytes(k.stack.depth, k.values == nullptr ? 0 : k.values->size);
  }

  bucket* fill(void* memory, const bucket_list& list, const key& k,
               const hash128& identity) noexcept {
    if (memory == nullptr) return nullptr;
    auto* const b = ::new (memory) bucket;
    b->identity = identity;
    for (auto& counter : b->counters) counter.store(0, std::memory_order_relaxed);
    b->number = k.number;
    b->labels = k.labels;
    b->list = list.id;
    b->depth_and_flags = static_cast<std::uint16_t>(
        (k.stack.depth & bucket::depth_bits) | (k.stack.truncated ? bucket::truncated_flag : 0U) |
        (k.stack.leaf_is_ip ? bucket::leaf_is_ip_flag : 0U));
    b->next = nullptr;
    b->rate = k.rate;
    b->type = k.type;
    for (std::size_t i = 0; i < k.stack.depth; ++i) b->pcs()[i] = k.stack.pcs[i];
    if (k.values != nullptr && !b->set_values(*k.values)) losses_.count(loss::passing_labels);
    return b;
  }

  [[gnu::noinline, gnu::cold]] bucket* overflow(bucket_list& list, std::int64_t rate) noexcept {
    losses_.count(overflow_);
    return overflow_bucket(list, rate);
  }

  // There is one for each rate, so that what is charged to it can be scaled.
  bucket* overflow_bucket(bucket_list& list, std::int64_t rate) noexcept {
    bucket* made = nullptr;
    bucket* head = list.overflow.load(std::memory_order_acquire);
    for (;;) {
      for (bucket* b = head; b != nullptr; b = b->next) {
        if (b->rate == rate) return b;
      }
      if (made == nullptr) {
        const std::uintptr_t pc = pseudo::overflow;
        const key k{{&pc, 1, false, false}, 0, rate, 0};
        made = fill(arena_.allocate_always(bucket::bytes(1)), list, k, identify(list, k));
        if (made == nullptr) {
          losses_.count(loss::dropped);
          return nullptr;
        }
        made->depth_and_flags |= bucket::overflow_flag;
      }
      // Another thread's bucket may be the one for this rate, so all are checked again.
      made->next = head;
      if (list.overflow.compare_exchange_strong(head, made, std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {
        list.size.fetch_add(1, std::memory_order_relaxed);
        return made;
      }
    }
  }

  sys::arena& arena_;
  losses& losses_;
  const loss overflow_;
  std::atomic<segment*> oldest_{nullptr};
  std::atomic<segment*> newest_{nullptr};
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_TABLE_HPP
