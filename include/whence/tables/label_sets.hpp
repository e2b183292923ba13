// SPDX-License-Identifier: Apache-2.0
//
// Sets of labels, each kept once and known by a number that fits into a bucket: equal sets have
// equal numbers, so labels cost an event one word of its key.
//
//   directory:  set_heads[4096]   -> set -> set -> ...          by hash, newest first
//               value_heads[1024] -> value -> value -> ...      likewise
//               key_heads[64]     -> key -> key -> ...
//               pages[256]        -> sets[256]                  by number
//   set:        | next | hash | number | size | label, label, ... |   their texts are the values'
//
// All are made under a lock, published whole, and never change or go away: a lookup takes no lock.
//
// Programs put request ids into labels, so everything has a limit: a text is cut, a key has so many
// values and `[other]` for all further ones, and there are 65535 sets, of which the last 4096 are
// kept for the library's own labels: states, locks, waits.
//
// Bounded keys make unbounded combinations. A set is charged to that of its keys which has the most
// values, and a key may hold an eighth of what is left, numbers and memory. If it holds that, a new
// set has `[other]` for it, and is charged to the next key. So a key, or any few, leave most of the
// room to others, and what is refused is allowed again if the limit is raised.
//
// What is refused is found out by lookups alone, so it costs about twice what a known set costs, on
// any number of threads. The values that a set does not show are told to the caller
// (passing_labels.hpp).
//
// Thread-safe. Never allocates from the heap, never throws. `of` is signal-safe.
#ifndef WHENCE_TABLES_LABEL_SETS_HPP
#define WHENCE_TABLES_LABEL_SETS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include <whence/instruments/label.hpp>
#include <whence/sys/arena.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/short_text.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/tables/label_hash.hpp>
#include <whence/tables/label_values.hpp>
#include <whence/tables/losses.hpp>

namespace whence::inline v1::tables {

class label_sets {
 public:
  static constexpr std::uint32_t none = 0;  // the empty set
  static constexpr std::uint32_t most = 65535;
  static constexpr std::uint32_t most_own = 4096;
  static constexpr std::uint32_t most_of_program = most - most_own;
  static constexpr std::uint32_t overflow = most + 1;  // stands for sets that did not fit

  static constexpr std::size_t most_values = 1024;  // of a key
  static constexpr std::size_t most_keys = 1024;    // of all sets
  static constexpr std::size_t longest_text = 128;  // bytes of a key or value

  // What `overflow` shows.
  static constexpr instruments::label shown_as_lost{"labels", "[overflow]"};
  // The value that stands for those beyond a key's limit.
  static constexpr std::string_view other = "[other]";

  constexpr label_sets(sys::arena& memory, losses& lost) noexcept : arena_(memory), losses_(lost) {}

  // The number of the set, made on first sight; `overflow`, and counted so, if there is no room.
  // Requires: sorted by key, no key twice. `limit` is `most` for the library's own labels.
  std::uint32_t intern(instruments::label_list labels,
                       std::uint32_t limit = most_of_program) noexcept {
    if (labels.empty()) return none;
    hashed_set asked{static_cast<item*>(__builtin_alloca(labels.size() * sizeof(item)))};
    for (const instruments::label& l : labels) asked.add(l);
    if (const set* const known = find(asked)) return known->number;
    return add(asked, limit);
  }

  // The same for a program's set. If it has `[other]` in the place of values, the result is
  // replaced(number, const replaced_labels&) instead, whose values refer to the caller's texts.
  template <class Replaced>
  std::uint64_t intern(instruments::label_list labels, Replaced replaced) noexcept {
    if (labels.empty()) return none;
    hashed_set asked{static_cast<item*>(__builtin_alloca(labels.size() * sizeof(item)))};
    for (const instruments::label& l : labels) asked.add(l);
    if (const set* const known = find(asked)) return known->number;
    return add_and_tell(asked, replaced);
  }

  // The labels of a set; their texts end in a zero byte and are never freed.
  instruments::label_list of(std::uint32_t number) const noexcept {
    if (number == none) return {};
    if (number > most) return {&shown_as_lost, 1};
    const directory& d = *directory_.load(std::memory_order_acquire);
    const page& p = *d.pages[number / page_size].load(std::memory_order_acquire);
    const set& s = *p.sets[number % page_size].load(std::memory_order_acquire);
    return {s.labels(), s.size};
  }

  // Calls visit(key, is_full) for each key of which values were replaced by `[other]`. is_full: it
  // has as many as it may; else its sets have filled their part.
  template <class Visit>
  void for_each_replaced_key(Visit visit) const {
    const directory* const d = directory_.load(std::memory_order_acquire);
    if (d == nullptr) return;
    for (const auto& head : d->key_heads) {
      for (const key* k = head.load(std::memory_order_acquire); k != nullptr; k = k->next) {
        if (!k->is_replaced.load(std::memory_order_relaxed)) continue;
        visit(k->text, k->values.load(std::memory_order_relaxed) >= most_values);
      }
    }
  }

  // fork holds the lock across the call.
  constexpr sys::spin_lock& lock() noexcept { return lock_; }

 private:
  struct set {
    const set* next;
    std::uint64_t hash;
    std::uint32_t number;
    std::uint32_t size;

    const instruments::label* labels() const noexcept {
      return reinterpret_cast<const instruments::label*>(this + 1);
    }
  };
  struct key {
    const key* next;
    std::uint64_t hash;
    std::string_view text;
    std::uint64_t hash_of_other;  // of the key with the value [other]
    mutable std::atomic<std::size_t> values{0};
    mutable std::atomic<std::size_t> sets{0};   // charged to it
    mutable std::atomic<std::size_t> bytes{0};  // of those, and of its values
    mutable std::atomic<bool> is_replaced{false};
    mutable std::atomic<const set*> alone_as_other{nullptr};  // the set of [other] and no more
  };
  struct value {
    const value* next;
    std::uint64_t hash;  // of the key, too
    const key* of;
    std::string_view text;
  };
  static constexpr std::size_t set_head_count = 4096;
  static constexpr std::size_t value_head_count = 1024;
  static constexpr std::size_t key_head_count = 64;
  static constexpr std::size_t page_size = 256;
  struct page {
    std::atomic<const set*> sets[page_size];
  };
  struct directory {
    std::atomic<const set*> set_heads[set_head_count];
    std::atomic<const value*> value_heads[value_head_count];
    std::atomic<const key*> key_heads[key_head_count];
    std::atomic<page*> pages[(most + 1) / page_size];
  };

  // A text as it is kept: no character of UTF-8 is cut in two.
  static std::string_view cut(std::string_view text) noexcept {
    if (text.size() <= longest_text) return text;
    std::size_t size = longest_text;
    for (int i = 0; i < 3 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80; ++i) --size;
    return text.substr(0, size);
  }

  // A label that is looked for, and its hashes, so that no text is hashed twice.
  struct item {
    instruments::label it;
    std::uint64_t key_hash, hash;  // the latter of key and value
    const key* replaced_of;        // nullptr: it has the value that was asked for
    // Unwritten until they are needed: the value in the set; what it replaces, and the hash of
    // that.
    const value* known;
    const char* asked;
    std::size_t asked_size;
    std::uint64_t asked_hash;
  };
  struct hashed_set {
    item* items;
    std::size_t size = 0;

    item* begin() const noexcept { return items; }
    item* end() const noexcept { return items + size; }

    void add(const instruments::label& l) noexcept {
      const instruments::label it{cut(l.key), cut(l.value)};
      const std::uint64_t of_key = hash_of_text(it.key);
      item* const i = items + size++;
      ::new (&i->it) instruments::label(it);
      i->key_hash = of_key;
      i->hash = combined_hash(of_key, hash_of_text(it.value));
      i->replaced_of = nullptr;
    }
    std::uint64_t hash() const noexcept {
      std::uint64_t h = size;
      for (const item& i : *this) h = combined_hash(h, i.hash);
      return h;
    }
  };

  static bool equal(const set& s, const hashed_set& asked) noexcept {
    if (s.size != asked.size) return false;
    for (std::size_t i = 0; i < asked.size; ++i) {
      const instruments::label& known = s.labels()[i];
      if (!sys::same_text(known.key, asked.items[i].it.key)) return false;
      if (!sys::same_text(known.value, asked.items[i].it.value)) return false;
    }
    return true;
  }

  // Acquire pairs with `publish`: what is found is complete.
  const set* find(const hashed_set& asked) const noexcept {
    const directory* const d = directory_.load(std::memory_order_acquire);
    if (d == nullptr) return nullptr;
    const std::uint64_t hash = asked.hash();
    const set* s = d->set_heads[hash % set_head_count].load(std::memory_order_acquire);
    while (s != nullptr && !(s->hash == hash && equal(*s, asked))) s = s->next;
    return s;
  }
  const key* find_key(const item& i) const noexcept {
    const directory* const d = directory_.load(std::memory_order_acquire);
    if (d == nullptr) return nullptr;
    const key* k = d->key_heads[i.key_hash % key_head_count].load(std::memory_order_acquire);
    while (k != nullptr && !(k->hash == i.key_hash && sys::same_text(k->text, i.it.key))) {
      k = k->next;
    }
    return k;
  }
  // Requires: there is the key.
  const value* find_value(const item& i, const key& of) const noexcept {
    const directory* const d = directory_.load(std::memory_order_acquire);
    const value* v = d->value_heads[i.hash % value_head_count].load(std::memory_order_acquire);
    while (v != nullptr &&
           !(v->hash == i.hash && v->of == &of && sys::same_text(v->text, i.it.value))) {
      v = v->next;
    }
    return v;
  }

  static void replace(item& i, const key& k) noexcept {
    i.replaced_of = &k;
    i.asked_hash = i.hash;
    i.asked = i.it.value.data();
    i.asked_size = i.it.value.size();
    i.it.value = other;
    i.hash = k.hash_of_other;
    if (!k.is_replaced.load(std::memory_order_relaxed)) {
      k.is_replaced.store(true, std::memory_order_relaxed);
    }
  }

  // What is left for the sets of a program.
  struct room {
    std::size_t numbers, bytes;
  };
  room room_left() const noexcept {
    const std::uint32_t last = last_number_.load(std::memory_order_relaxed);
    return {last < most_of_program ? most_of_program - last : 0, arena_.budget().left()};
  }
  static bool holds_its_part(const key& k, const room& left) noexcept {
    return k.sets.load(std::memory_order_relaxed) >= left.numbers / part ||
           k.bytes.load(std::memory_order_relaxed) >= left.bytes / part;
  }

  // Puts [other] in the place of new values whose key has no room for them. True if it did.
  bool replace_values(hashed_set& asked, std::uint32_t limit) const noexcept {
    const std::size_t most_here = limit == most ? most_own : most_values;
    bool any = false;
    for (item& i : asked) {
      const key* const k = find_key(i);
      if (k == nullptr || i.it.value == other) continue;
      const bool is_full = k->values.load(std::memory_order_relaxed) >= most_here ||
                           (limit != most && k->bytes.load(std::memory_order_relaxed) >=
                                                 arena_.budget().left() / part);
      if (!is_full || find_value(i, *k) != nullptr) continue;
      replace(i, *k);
      any = true;
    }
    return any;
  }

  // The known set after values were replaced. Most sets with an endless key have no other.
  const set* find_replaced(const hashed_set& asked) const noexcept {
    if (asked.size == 1) {
      const key& k = *asked.items[0].replaced_of;
      if (const set* const known = k.alone_as_other.load(std::memory_order_acquire)) return known;
    }
    return find(asked);
  }

  // The label of the key with the most values, to which a set is charged; nullptr if all are
  // [other]. A key that is not known yet has none.
  item* most_diverse(const hashed_set& asked, const key*& its) const noexcept {
    item* found = nullptr;
    std::size_t values = 0;
    for (item& i : asked) {
      if (i.it.value == other) continue;
      const key* const k = find_key(i);
      const std::size_t n = k == nullptr ? 0 : k->values.load(std::memory_order_relaxed);
      if (found != nullptr && n < values) continue;
      found = &i;
      its = k;
      values = n;
    }
    return found;
  }

  // The known set that stands for `asked`, in which values are replaced until there is one or it
  // may be made: then nullptr.
  const set* settle(hashed_set& asked, std::uint32_t limit) const noexcept {
    if (replace_values(asked, limit)) {
      if (const set* const known = find_replaced(asked)) return known;
    }
    if (limit == most) return nullptr;
    for (;;) {
      const key* k = nullptr;
      item* const i = most_diverse(asked, k);
      if (i == nullptr || k == nullptr || !holds_its_part(*k, room_left())) return nullptr;
      replace(*i, *k);
      if (const set* const known = find(asked)) return known;
    }
  }

  [[gnu::noinline, gnu::cold]] std::uint32_t add(hashed_set& asked, std::uint32_t limit) noexcept {
    const set* known = settle(asked, limit);
    // Looked at before the lock is taken, so that refusals do not wait for one another.
    if (known == nullptr && last_number_.load(std::memory_order_relaxed) < limit &&
        (limit == most || arena_.budget().left() >= least_room)) {
      const sys::guard hold(lock_);
      known = find(asked);
      if (known == nullptr) known = settle(asked, limit);
      if (known == nullptr && last_number_.load(std::memory_order_relaxed) < limit) {
        known = make(asked, limit);
      }
    }
    if (known != nullptr) return known->number;
    losses_.count(loss::labels);
    return overflow;
  }

  template <class Replaced>
  [[gnu::noinline]] std::uint64_t add_and_tell(hashed_set& asked, Replaced& replaced) noexcept {
    // Done here first, because it is all that a refused value costs.
    const set* const known =
        replace_values(asked, most_of_program) ? find_replaced(asked) : nullptr;
    const std::uint32_t number = known != nullptr ? known->number : add(asked, most_of_program);
    replaced_labels all{
        static_cast<replaced_label*>(__builtin_alloca(asked.size * sizeof(replaced_label)))};
    for (const item& i : asked) {
      if (i.replaced_of != nullptr)
        all.add({&i.replaced_of->text, {i.asked, i.asked_size}, i.asked_hash});
    }
    return all.empty() || number == overflow ? number : replaced(number, all);
  }

  // Requires: lock_ is held.
  const set* make(hashed_set& asked, std::uint32_t limit) noexcept {
    directory* const d = in_place<directory>(directory_, limit);
    if (d == nullptr) return nullptr;
    const std::uint32_t number = last_number_.load(std::memory_order_relaxed) + 1;
    page* const p = in_place<page>(d->pages[number / page_size], limit);
    if (p == nullptr) return nullptr;
    for (item& i : asked) {
      i.known = value_of(*d, i, limit);
      if (i.known == nullptr) return nullptr;
    }
    const std::size_t bytes = sizeof(set) + asked.size * sizeof(instruments::label);
    void* const memory = allocate(bytes, limit);
    if (memory == nullptr) return nullptr;
    const key* charged = nullptr;
    if (limit != most && most_diverse(asked, charged) != nullptr) {
      charged->sets.fetch_add(1, std::memory_order_relaxed);
      charged->bytes.fetch_add(bytes, std::memory_order_relaxed);
    }
    const std::uint64_t hash = asked.hash();
    std::atomic<const set*>& head = d->set_heads[hash % set_head_count];
    auto* const s = ::new (memory) set{head.load(std::memory_order_relaxed), hash, number,
                                       static_cast<std::uint32_t>(asked.size)};
    auto* labels = reinterpret_cast<instruments::label*>(s + 1);
    for (const item& i : asked)
      ::new (labels++) instruments::label{i.known->of->text, i.known->text};
    p->sets[number % page_size].store(s, std::memory_order_release);
    head.store(s, std::memory_order_release);
    if (const item& first = asked.items[0]; asked.size == 1 && first.it.value == other) {
      first.known->of->alone_as_other.store(s, std::memory_order_release);
    }
    last_number_.store(number, std::memory_order_relaxed);
    return s;
  }

  // Requires: lock_ is held. The value, made if it is missing.
  const value* value_of(directory& d, const item& i, std::uint32_t limit) noexcept {
    const key* k = find_key(i);
    if (k == nullptr) k = make_key(d, i, limit);
    if (k == nullptr) return nullptr;
    if (const value* const known = find_value(i, *k)) return known;
    void* const memory = allocate(sizeof(value) + i.it.value.size() + 1, limit);
    if (memory == nullptr) return nullptr;
    std::atomic<const value*>& head = d.value_heads[i.hash % value_head_count];
    auto* const v =
        ::new (memory) value{head.load(std::memory_order_relaxed), i.hash, k,
                             copy(static_cast<char*>(memory) + sizeof(value), i.it.value)};
    head.store(v, std::memory_order_release);
    if (i.it.value != other) {
      k->values.fetch_add(1, std::memory_order_relaxed);
      k->bytes.fetch_add(sizeof(value) + i.it.value.size(), std::memory_order_relaxed);
    }
    return v;
  }

  const key* make_key(directory& d, const item& i, std::uint32_t limit) noexcept {
    if (key_count_ == most_keys && limit != most) return nullptr;
    void* const memory = allocate(sizeof(key) + i.it.key.size() + 1, limit);
    if (memory == nullptr) return nullptr;
    std::atomic<const key*>& head = d.key_heads[i.key_hash % key_head_count];
    auto* const k = ::new (memory) key{head.load(std::memory_order_relaxed), i.key_hash,
                                       copy(static_cast<char*>(memory) + sizeof(key), i.it.key),
                                       combined_hash(i.key_hash, hash_of_text(other))};
    head.store(k, std::memory_order_release);
    ++key_count_;
    return k;
  }

  // The library's own labels are few enough to pass the limit.
  void* allocate(std::size_t bytes, std::uint32_t limit) noexcept {
    return limit == most ? arena_.allocate_always(bytes) : arena_.allocate(bytes);
  }

  // Requires: lock_ is held. The object at that place, made if it is missing.
  template <class T>
  T* in_place(std::atomic<T*>& place, std::uint32_t limit) noexcept {
    T* it = place.load(std::memory_order_relaxed);
    if (it != nullptr) return it;
    void* const memory = allocate(sizeof(T), limit);
    if (memory == nullptr) return nullptr;
    it = ::new (memory) T{};
    place.store(it, std::memory_order_release);
    return it;
  }

  static std::string_view copy(char* to, std::string_view text) noexcept {
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    to[text.size()] = '\0';
    return {to, text.size()};
  }

  // A key may hold one part in so many of what is left.
  static constexpr std::size_t part = 8;
  // A set may need that much.
  static constexpr std::size_t least_room = std::size_t{8} << 10;

  sys::arena& arena_;
  losses& losses_;
  sys::spin_lock lock_;
  std::atomic<directory*> directory_{nullptr};
  std::atomic<std::uint32_t> last_number_{none};
  std::size_t key_count_ = 0;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LABEL_SETS_HPP
