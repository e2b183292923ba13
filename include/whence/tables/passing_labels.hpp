// SPDX-License-Identifier: Apache-2.0
//
// Label values beyond the limits of label_sets: those of requests and spans, of which there is no
// end. A set keeps `[other]` in their place for ever, and a thread carries the values themselves as
// a ticket beside the set's number (instruments/label_word.hpp). A sample copies them into its
// epoch (bucket.hpp), in which they live and die. Until then they are here:
//
//   chunks, in a ring:   | state, next, pinned | unit 1 | unit 2 | ... | unit 15 |      1 KiB each
//   values:              | outer ticket | hash | size in words | words ... |   in one unit or more
//   state:               | lap of the ring | is being written |
//   ticket:              | lap, 29 bits | number of the first unit, 15 bits |
//
// A thread fills one chunk, then takes the next in the ring, so threads meet once in fifteen sets.
// With the chunk's new lap all its tickets of the lap before are void: a reader compares the lap
// after it has read, and shows `[other]` if it is another. A thread that has not filled its chunk
// within a lap has to take another, so idle threads hold none back.
//
// A request may last for longer than a lap. So a chunk is left out of a lap if a thread carries one
// of its tickets, or one that was put over it (`outer`): the first thread that comes to a block of
// 256 chunks looks at what all threads carry. If there is room in it, it is filled further.
//
// Reading is lock-free and signal-safe. Keeping is lock-free; not for signal handlers. Never
// allocates from the heap, never throws.
#ifndef WHENCE_TABLES_PASSING_LABELS_HPP
#define WHENCE_TABLES_PASSING_LABELS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include <whence/instruments/label.hpp>
#include <whence/instruments/label_word.hpp>
#include <whence/sys/arena.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/pages.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/tables/label_hash.hpp>
#include <whence/tables/label_values.hpp>
#include <whence/tables/losses.hpp>
#include <whence/tables/thread_records.hpp>

namespace whence::inline v1::tables {

class passing_labels {
 public:
  static constexpr std::size_t most_bytes = std::size_t{2} << 20;
  static constexpr std::size_t most_words = 7 * 8 + 5;  // of the values of one set

  // `lock` is held while the ring is made; fork holds it, too.
  constexpr passing_labels(sys::memory_budget& share, thread_records& threads, sys::spin_lock& lock,
                           losses& lost) noexcept
      : share_(share), threads_(threads), lock_(lock), losses_(lost) {}

  // The ticket of `replaced`, with the values of `above` and `below` for keys that those before do
  // not have. 0, and counted, if there is no room. `mine`: the calling thread's record.
  std::uint64_t keep(thread_record& mine, const replaced_labels& replaced) noexcept {
    std::size_t size = 0;
    std::uint64_t hash = 0;
    for (const replaced_label& l : replaced) {
      size += label_values::words_of(l.value.size());
      hash += l.hash;
    }
    if (size == 0 || size > most_words) return keep(mine, replaced, 0, 0);
    const place p = take(mine, size, hash, 0);
    if (p.ticket == 0) return lose();
    std::atomic<std::uint64_t>* to = p.words;
    for (const replaced_label& l : replaced) {
      put(to, label_values::head(l));
      label_values::for_each_word(l.value, [&to](std::uint64_t word) { put(to, word); });
    }
    leave(mine);
    return p.ticket;
  }
  // `over`: the set above; a key that it has, with whatever value, has none of `below`.
  std::uint64_t keep(thread_record& mine, const replaced_labels& replaced, std::uint64_t above,
                     std::uint64_t below, instruments::label_list over = {}) noexcept {
    words w;
    for (const replaced_label& l : replaced) w.add(l);
    w.add(find(above), {});
    w.add(find(below), over);
    if (w.is_cut) losses_.count(loss::passing_labels);
    if (w.size == 0) return 0;
    const place p = take(mine, w.size, w.hash(), below);
    if (p.ticket == 0) return lose();
    std::atomic<std::uint64_t>* to = p.words;
    for (std::size_t i = 0; i < w.size; ++i) put(to, w.at[i]);
    leave(mine);
    return p.ticket;
  }

  // What the ticket stands for; empty if it is void. Signal-safe.
  label_values find(std::uint64_t ticket) const noexcept {
    const ring* const r = ring_.load(std::memory_order_acquire);
    if (ticket == 0 || r == nullptr) return {};
    const std::size_t first = ticket & (most_units - 1);
    if (first / units_in_chunk >= r->count) return {};
    const chunk& c = r->chunks()[first / units_in_chunk];
    label_values v;
    v.state = &c.state;
    v.valid_at = ticket >> unit_bits;
    const std::atomic<std::uint64_t>* const unit = c.unit(first % units_in_chunk);
    v.words = unit + head_words;
    v.hash = unit[hash_word].load(std::memory_order_acquire);
    v.size = unit[size_word].load(std::memory_order_acquire);
    // The lap is compared last, so that what it says holds for what was read before.
    return v.still_valid() ? v : label_values{};
  }

 private:
  static constexpr std::size_t unit_words = 8;
  static constexpr std::size_t units_in_chunk = 16;  // the first is the chunk's head
  static constexpr std::size_t outer_word = 0, hash_word = 1, size_word = 2, head_words = 3;
  static constexpr int unit_bits = 15;
  static constexpr std::size_t most_units = std::size_t{1} << unit_bits;
  static constexpr std::size_t most_chunks = most_units / units_in_chunk;
  static constexpr std::size_t least_chunks = 16;
  static constexpr std::size_t chunks_in_block = 256;
  static constexpr std::uint64_t lap_mask = (std::uint64_t{1} << 29) - 1;
  static constexpr int most_tries = 64;
  static constexpr int most_outer = 64;
  static constexpr std::uint64_t is_written = passing_chunk::is_written;

  struct alignas(sys::cache_line) chunk : passing_chunk {
    std::atomic<std::uint64_t> pinned{0};  // the lap in which it is left out
    std::size_t next = 0;                  // the writer's: the next unit
    std::size_t number = 0;                // in the ring
    alignas(sys::cache_line) std::atomic<std::uint64_t> words[unit_words * (units_in_chunk - 1)];

    std::atomic<std::uint64_t>* unit(std::size_t i) noexcept {
      return words + unit_words * (i == 0 ? 0 : i - 1);
    }
    const std::atomic<std::uint64_t>* unit(std::size_t i) const noexcept {
      return words + unit_words * (i == 0 ? 0 : i - 1);
    }
  };
  static_assert(sizeof(chunk) == sys::cache_line * units_in_chunk);
  static_assert(most_words + head_words <= unit_words * 8 &&
                most_chunks * sizeof(chunk) == most_bytes);

  struct alignas(sys::cache_line) ring {
    // The last lap in which a thread has begun, and has ended, to look what is carried; by block.
    std::atomic<std::uint64_t> looks[most_chunks / chunks_in_block]{};
    std::atomic<std::uint64_t> looked[most_chunks / chunks_in_block]{};
    alignas(sys::cache_line) std::atomic<std::uint64_t> hand{0};
    std::size_t count = 0;  // chunks

    chunk* chunks() noexcept { return reinterpret_cast<chunk*>(this + 1); }
    const chunk* chunks() const noexcept { return reinterpret_cast<const chunk*>(this + 1); }
  };

  // The values of a set before they are written.
  struct words {
    std::uint64_t at[most_words];
    std::size_t size = 0;
    bool is_cut = false;

    bool has(std::uint64_t head) const noexcept {
      for (std::size_t i = 0; i < size;
           i += label_values::words_of(label_values::text_size(at[i]))) {
        if (&label_values::key(at[i]) == &label_values::key(head)) return true;
      }
      return false;
    }
    // The key's address is one only as long as the values are valid.
    static bool is_in(instruments::label_list over, const label_values& values,
                      std::uint64_t head) noexcept {
      if (!values.still_valid()) return true;
      for (const instruments::label& l : over) {
        if (l.key.data() == label_values::key(head).data()) return true;
      }
      return false;
    }
    std::uint64_t* place(std::uint64_t head) noexcept {
      const std::size_t n = label_values::words_of(label_values::text_size(head));
      if (size + n > most_words) {
        is_cut = true;
        return nullptr;
      }
      std::uint64_t* const to = at + size;
      size += n;
      *to = head;
      if (n > 1) to[n - 1] = 0;
      return to + 1;
    }
    void add(const replaced_label& l) noexcept {
      std::uint64_t* to = place(label_values::head(l));
      if (to == nullptr) return;
      label_values::for_each_word(l.value, [&to](std::uint64_t word) { *to++ = word; });
    }
    // Nothing of them is added if they turn void meanwhile.
    void add(const label_values& values, instruments::label_list over) noexcept {
      const std::size_t before = size;
      values.for_each([&](std::uint64_t head, const std::atomic<std::uint64_t>* text) {
        if (label_values::text_size(head) > most_words * 8 || has(head)) return;
        if (!over.empty() && is_in(over, values, head)) return;
        std::uint64_t* const to = place(head);
        if (to != nullptr) label_values::copy_text(head, text, reinterpret_cast<char*>(to));
      });
      if (!values.still_valid()) size = before;
    }
    std::uint64_t hash() const noexcept {
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < size;) {
        const std::size_t n = label_values::text_size(at[i]);
        const std::string_view text{reinterpret_cast<const char*>(at + i + 1), n};
        sum += combined_hash(hash_of_text(label_values::key(at[i])), hash_of_text(text));
        i += label_values::words_of(n);
      }
      return sum;
    }
  };

  struct place {
    std::uint64_t ticket = 0;  // 0: no room
    std::atomic<std::uint64_t>* words = nullptr;
  };

  // Release: a reader of what is written here sees that the chunk's lap is a new one.
  static void put(std::atomic<std::uint64_t>*& to, std::uint64_t word) noexcept {
    (to++)->store(word, std::memory_order_release);
  }

  std::uint64_t lose() noexcept {
    losses_.count(loss::passing_labels);
    return 0;
  }

  // Then the chunk is being written by the thread, until it leaves it.
  place take(thread_record& mine, std::size_t size, std::uint64_t hash,
             std::uint64_t outer) noexcept {
    const std::size_t units = (head_words + size + unit_words - 1) / unit_words;
    auto* c = static_cast<chunk*>(mine.chunk.load(std::memory_order_relaxed));
    std::uint64_t state = mine.chunk_state.load(std::memory_order_relaxed);
    if (c == nullptr || !fits(*ring_.load(std::memory_order_relaxed), *c, state, units))
        [[unlikely]] {
      c = exchange(mine, units);
      if (c == nullptr) return {};
      state = mine.chunk_state.load(std::memory_order_relaxed);
    }
    const std::size_t first = c->next;
    c->next += units;
    std::atomic<std::uint64_t>* to = c->unit(first);
    put(to, outer);
    put(to, hash);
    put(to, size);
    return {state >> 1 << unit_bits | (c->number * units_in_chunk + first), to};
  }
  static void leave(const thread_record& mine) noexcept {
    mine.chunk.load(std::memory_order_relaxed)
        ->state.store(mine.chunk_state.load(std::memory_order_relaxed), std::memory_order_release);
  }

  // True if the chunk has still that state, and room: then it is being written.
  static bool fits(const ring& r, chunk& c, std::uint64_t state, std::size_t units) noexcept {
    if (!c.state.compare_exchange_strong(state, state | is_written, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
      return false;
    }
    // Once the chunk's turn is near, what it holds is looked at: a ticket made after that would be
    // void soon.
    const std::uint64_t lap = r.looks[c.number / chunks_in_block].load(std::memory_order_relaxed);
    const bool stays = lap == state >> 1 || c.pinned.load(std::memory_order_relaxed) == lap;
    if (stays && c.next + units <= units_in_chunk) [[likely]]
      return true;
    c.state.store(state, std::memory_order_release);
    return false;
  }

  // Laps begin anew after the last. 0 is before all.
  static bool is_earlier(std::uint64_t lap, std::uint64_t than) noexcept {
    return than != 0 && ((lap - than) & lap_mask) > lap_mask / 2;
  }
  // Writes the lap, unless another thread has written a later one.
  static void pass(std::atomic<std::uint64_t>& last, std::uint64_t lap) noexcept {
    std::uint64_t before = last.load(std::memory_order_relaxed);
    while (before != lap && !is_earlier(lap, before) && !last.compare_exchange_weak(before, lap)) {
    }
  }

  // Gives the thread another chunk, which is being written; nullptr if all are in use.
  [[gnu::noinline]] chunk* exchange(thread_record& mine, std::size_t units) noexcept {
    ring* r = ring_.load(std::memory_order_acquire);
    if (r == nullptr) r = make_ring();
    if (r == nullptr) return nullptr;
    for (int i = 0; i < most_tries; ++i) {
      const std::uint64_t turn = r->hand.fetch_add(1, std::memory_order_relaxed);
      const std::uint64_t lap = turn / r->count % lap_mask + 1;
      const std::size_t at = turn % r->count;
      std::atomic<std::uint64_t>& looked = r->looked[at / chunks_in_block];
      const std::uint64_t last_look = looked.load(std::memory_order_acquire);
      if (last_look != lap) {
        if (is_earlier(lap, last_look)) continue;  // this thread has slept
        pass(r->looks[at / chunks_in_block], lap);
        pin_what_is_carried(*r, lap);
        pass(looked, lap);
      }
      chunk& c = r->chunks()[at];
      std::uint64_t state = c.state.load(std::memory_order_relaxed);
      if ((state & is_written) != 0 || is_earlier(lap, state >> 1)) continue;
      if (c.pinned.load(std::memory_order_relaxed) == lap) {
        if (!fits(*r, c, state, units)) continue;
      } else {
        if (!c.state.compare_exchange_strong(state, lap << 1 | is_written,
                                             std::memory_order_acq_rel)) {
          continue;
        }
        state = lap << 1;
        c.next = 1;
        c.number = at;
      }
      mine.chunk_state.store(state, std::memory_order_relaxed);
      mine.chunk.store(&c, std::memory_order_relaxed);
      return &c;
    }
    return nullptr;
  }

  void pin_what_is_carried(ring& r, std::uint64_t lap) const noexcept {
    threads_.for_each_labels([&](std::uint64_t word) {
      std::uint64_t ticket = instruments::label_ticket_in(word);
      for (int i = 0; ticket != 0 && i < most_outer; ++i) {
        const std::size_t unit = ticket & (most_units - 1);
        if (unit / units_in_chunk >= r.count) return;
        chunk& c = r.chunks()[unit / units_in_chunk];
        const std::uint64_t outer =
            c.unit(unit % units_in_chunk)[outer_word].load(std::memory_order_acquire);
        if (c.state.load(std::memory_order_acquire) >> 1 != ticket >> unit_bits) return;
        pass(c.pinned, lap);
        ticket = outer;
      }
    });
  }

  // An eighth of the share, at most; nullptr if that is too little.
  ring* make_ring() noexcept {
    const std::size_t left = share_.left() / 8;
    if (left < sizeof(ring) + least_chunks * sizeof(chunk)) return nullptr;
    const sys::guard hold(lock_);
    ring* r = ring_.load(std::memory_order_relaxed);
    if (r != nullptr) return r;
    std::size_t count = (left - sizeof(ring)) / sizeof(chunk);
    if (count > most_chunks) count = most_chunks;
    const std::size_t bytes = sizeof(ring) + count * sizeof(chunk);
    if (!share_.take(bytes)) return nullptr;
    void* const pages = sys::map_pages(bytes);
    if (pages == nullptr) {
      share_.give_back(bytes);
      return nullptr;
    }
    r = ::new (pages) ring;
    r->count = count;  // the chunks are zeros, as they begin
    ring_.store(r, std::memory_order_release);
    return r;
  }

  sys::memory_budget& share_;
  thread_records& threads_;
  sys::spin_lock& lock_;
  losses& losses_;
  std::atomic<ring*> ring_{nullptr};
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_PASSING_LABELS_HPP
