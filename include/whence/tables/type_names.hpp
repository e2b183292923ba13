// SPDX-License-Identifier: Apache-2.0
//
// The names of what was allocated, each kept once, so that a bucket's key has one pointer for it:
// equal names are one pointer, which stays valid, while the text that an instrument gives lies in a
// module that may be unloaded.
//
//   heads[512] -> name -> name -> ...      by hash of the text as given, newest first
//   name:       | next | hash | size | shown | text, as given |
//
// `shown` is its own text, or that of another name if a person spells it otherwise
// (type_spelling.hpp). Names are made under a lock, published whole, and never change or go away:
// a lookup takes no lock. There are at most 4096: a program has as many types as its code, but
// plugins come and go.
//
// Thread-safe. Never allocates from the heap, never throws.
#ifndef WHENCE_TABLES_TYPE_NAMES_HPP
#define WHENCE_TABLES_TYPE_NAMES_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include <whence/sys/arena.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/short_text.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/tables/losses.hpp>
#include <whence/tables/stack_hash.hpp>
#include <whence/tables/type_spelling.hpp>

namespace whence::inline v1::tables {

class type_names {
 public:
  static constexpr std::size_t most = 4096;
  static constexpr std::size_t longest = 1024;  // the rest of a longer one is cut off

  constexpr type_names(sys::arena& memory, losses& lost) noexcept : arena_(memory), losses_(lost) {}

  // The name that is kept for the text; nullptr for nullptr. "[overflow]", and counted so, if there
  // is no room.
  const char* intern(const char* text) noexcept {
    if (text == nullptr) return nullptr;
    std::string_view given(text);
    if (given.size() > longest) given = given.substr(0, longest);
    const std::uint64_t hash = hash_of(given);
    if (const name* const known = find(given, hash)) return known->shown;
    return add(given, hash);
  }

  // fork holds the lock across the call.
  sys::spin_lock& lock() noexcept { return lock_; }

 private:
  struct name {
    const name* next;
    std::uint64_t hash;
    std::size_t size;
    const char* shown;

    char* text() noexcept { return reinterpret_cast<char*>(this + 1); }
    std::string_view given() const noexcept {
      return {reinterpret_cast<const char*>(this + 1), size};
    }
  };
  static constexpr std::size_t head_count = 512;
  struct directory {
    std::atomic<const name*> heads[head_count];
  };

  static std::uint64_t hash_of(std::string_view text) noexcept {
    hasher h;
    sys::for_each_word(text, [&](std::uint64_t word) { h.add(text.size(), word); });
    return h.finish().low;
  }

  const name* find(std::string_view text, std::uint64_t hash) const noexcept {
    // Acquire pairs with `make`: a name seen here is complete.
    const directory* const d = directory_.load(std::memory_order_acquire);
    if (d == nullptr) return nullptr;
    const name* n = d->heads[hash % head_count].load(std::memory_order_acquire);
    for (; n != nullptr; n = n->next) {
      if (n->hash == hash && sys::same_text(n->given(), text)) return n;
    }
    return nullptr;
  }

  [[gnu::noinline, gnu::cold]] const char* add(std::string_view text, std::uint64_t hash) noexcept {
    char buffer[2 * longest];
    const std::string_view spelling = spelled(text, buffer);
    const sys::guard hold(lock_);
    if (const name* const known = find(text, hash)) return known->shown;
    const char* shown = nullptr;  // its own
    if (spelling != text) {
      const std::uint64_t its_hash = hash_of(spelling);
      const name* other = find(spelling, its_hash);
      if (other == nullptr) other = make(spelling, its_hash, nullptr);
      if (other == nullptr) return overflow();
      shown = other->shown;
    }
    const name* const made = make(text, hash, shown);
    return made == nullptr ? overflow() : made->shown;
  }

  // Requires: lock_ is held.
  const name* make(std::string_view text, std::uint64_t hash, const char* shown) noexcept {
    if (count_ == most) return nullptr;
    directory* d = directory_.load(std::memory_order_relaxed);
    if (d == nullptr) {
      void* const memory = arena_.allocate(sizeof(directory));
      if (memory == nullptr) return nullptr;
      d = ::new (memory) directory{};
      directory_.store(d, std::memory_order_release);
    }
    void* const memory = arena_.allocate(sizeof(name) + text.size() + 1);
    if (memory == nullptr) return nullptr;
    std::atomic<const name*>& head = d->heads[hash % head_count];
    auto* const n =
        ::new (memory) name{head.load(std::memory_order_relaxed), hash, text.size(), shown};
    std::memcpy(n->text(), text.data(), text.size());
    n->text()[text.size()] = '\0';
    if (shown == nullptr) n->shown = n->text();
    ++count_;
    head.store(n, std::memory_order_release);
    return n;
  }

  const char* overflow() noexcept {
    losses_.count(loss::types);
    return "[overflow]";
  }

  sys::arena& arena_;
  losses& losses_;
  sys::spin_lock lock_;
  std::atomic<directory*> directory_{nullptr};
  std::size_t count_ = 0;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_TYPE_NAMES_HPP
