// SPDX-License-Identifier: Apache-2.0
//
// Sets of labels, each kept once and known by a number that fits into a bucket: equal sets have
// equal numbers, so labels cost an event one word of its key.
//
//   directory:  heads[1024] -> set -> set -> ...      by hash, newest first
//               pages[256]  -> sets[256]              by id
//   set:        | next | hash | id | size | label, label, ... | their texts |
//
// Sets are made under a lock, published whole, and never change or go away: a lookup takes no lock.
// There are at most 65535, because programs put request ids into labels; the last 4096 are kept for
// the library's own labels: states, locks, waits.
//
// Thread-safe. Never allocates from the heap, never throws. `of` is signal-safe.
#ifndef WHENCE_STACK_LABEL_SETS_HPP
#define WHENCE_STACK_LABEL_SETS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include <whence/instruments/label.hpp>
#include <whence/stack/hash.hpp>
#include <whence/stack/losses.hpp>
#include <whence/sys/arena.hpp>
#include <whence/sys/short_text.hpp>
#include <whence/sys/spin_lock.hpp>

namespace whence::inline v1::stack {

class label_sets {
 public:
  static constexpr std::uint32_t none = 0;  // the empty set
  static constexpr std::uint32_t most = 65535;
  static constexpr std::uint32_t most_of_program = most - 4096;
  static constexpr std::uint32_t overflow = most + 1;  // stands for sets that did not fit

  // What `overflow` shows.
  static constexpr label shown_as_lost{"labels", "[overflow]"};

  constexpr label_sets(sys::arena& memory, losses& lost) noexcept : arena_(memory), losses_(lost) {}

  // The number of the set, made on first sight; `overflow`, and counted so, if there is no room.
  // Requires: sorted by key, no key twice. `limit` is `most` for the library's own labels.
  std::uint32_t intern(label_list labels, std::uint32_t limit = most_of_program) noexcept {
    if (labels.empty()) return none;
    const std::uint64_t hash = hash_of(labels);
    if (const set* const known = find(labels, hash)) return known->id;
    return add(labels, hash, limit);
  }

  // The labels of a set; their texts end in a zero byte and are never freed.
  label_list of(std::uint32_t id) const noexcept {
    if (id == none) return {};
    if (id > most) return {&shown_as_lost, 1};
    const directory& d = *directory_.load(std::memory_order_acquire);
    const page& p = *d.pages[id / page_size].load(std::memory_order_acquire);
    const set& s = *p.sets[id % page_size].load(std::memory_order_acquire);
    return {s.labels(), s.size};
  }

  // fork holds the lock across the call.
  sys::spin_lock& lock() noexcept { return lock_; }

 private:
  struct set {
    const set* next;
    std::uint64_t hash;
    std::uint32_t id;
    std::uint32_t size;

    const label* labels() const noexcept { return reinterpret_cast<const label*>(this + 1); }
  };
  static constexpr std::size_t head_count = 1024;
  static constexpr std::size_t page_size = 256;
  struct page {
    std::atomic<const set*> sets[page_size];
  };
  struct directory {
    std::atomic<const set*> heads[head_count];
    std::atomic<page*> pages[(most + 1) / page_size];
  };

  static std::uint64_t hash_of(label_list labels) noexcept {
    hasher h;
    for (const label& l : labels) {
      h.add(l.key.size(), l.value.size());
      sys::for_each_word(l.key, [&h](std::uint64_t word) { h.add(0, word); });
      sys::for_each_word(l.value, [&h](std::uint64_t word) { h.add(0, word); });
    }
    return h.finish().low;
  }

  static bool equal(const set& s, label_list labels) noexcept {
    if (s.size != labels.size()) return false;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const label& known = s.labels()[i];
      if (!sys::same_text(known.key, labels[i].key)) return false;
      if (!sys::same_text(known.value, labels[i].value)) return false;
    }
    return true;
  }

  const set* find(label_list labels, std::uint64_t hash) const noexcept {
    const directory* const d = directory_.load(std::memory_order_acquire);
    if (d == nullptr) return nullptr;
    const set* s = d->heads[hash % head_count].load(std::memory_order_acquire);
    for (; s != nullptr; s = s->next) {
      if (s->hash == hash && equal(*s, labels)) return s;
    }
    return nullptr;
  }

  [[gnu::noinline, gnu::cold]] std::uint32_t add(label_list labels, std::uint64_t hash,
                                                 std::uint32_t limit) noexcept {
    const sys::scoped_lock hold(lock_);
    if (const set* const known = find(labels, hash)) return known->id;
    const set* const made = last_id_ < limit ? make(labels, hash, limit) : nullptr;
    if (made == nullptr) {
      losses_.count(loss::labels);
      return overflow;
    }
    return made->id;
  }

  // Requires: lock_ is held.
  const set* make(label_list labels, std::uint64_t hash, std::uint32_t limit) noexcept {
    directory* const d = made_once<directory>(directory_, limit);
    if (d == nullptr) return nullptr;
    page* const p = made_once<page>(d->pages[(last_id_ + 1) / page_size], limit);
    if (p == nullptr) return nullptr;
    std::size_t bytes = sizeof(set) + labels.size() * sizeof(label);
    for (const label& l : labels) bytes += l.key.size() + l.value.size() + 2;
    void* const memory = allocate(bytes, limit);
    if (memory == nullptr) return nullptr;

    std::atomic<const set*>& head = d->heads[hash % head_count];
    auto* const s = ::new (memory) set{head.load(std::memory_order_relaxed), hash, ++last_id_,
                                       static_cast<std::uint32_t>(labels.size())};
    auto* const copies = reinterpret_cast<label*>(s + 1);
    char* text = reinterpret_cast<char*>(copies + labels.size());
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const std::string_view key = copy(text, labels[i].key);
      ::new (copies + i) label{key, copy(text, labels[i].value)};
    }
    p->sets[s->id % page_size].store(s, std::memory_order_release);
    head.store(s, std::memory_order_release);
    return s;
  }

  // The library's own labels are few enough to pass the limit.
  void* allocate(std::size_t bytes, std::uint32_t limit) noexcept {
    return limit == most ? arena_.allocate_always(bytes) : arena_.allocate(bytes);
  }

  template <class T>
  T* made_once(std::atomic<T*>& place, std::uint32_t limit) noexcept {
    T* it = place.load(std::memory_order_relaxed);
    if (it != nullptr) return it;
    void* const memory = allocate(sizeof(T), limit);
    if (memory == nullptr) return nullptr;
    it = ::new (memory) T{};
    place.store(it, std::memory_order_release);
    return it;
  }

  static std::string_view copy(char*& to, std::string_view text) noexcept {
    char* const begin = to;
    if (!text.empty()) std::memcpy(begin, text.data(), text.size());
    begin[text.size()] = '\0';
    to += text.size() + 1;
    return {begin, text.size()};
  }

  sys::arena& arena_;
  losses& losses_;
  sys::spin_lock lock_;
  std::atomic<directory*> directory_{nullptr};
  std::uint32_t last_id_ = none;
};

}  // namespace whence::inline v1::stack

#endif  // WHENCE_STACK_LABEL_SETS_HPP
