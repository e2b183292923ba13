// SPDX-License-Identifier: Apache-2.0
//
// What is known about a thread and other threads may read: a record of one cache line, taken when
// the thread first gets such data (labels, a name, where it was made), given back when it ends. A
// thread that takes one in its very last destructor cannot give it back: other threads find it.
//
//   this thread ──> its record          one thread-local pointer, in the root's module
//   any thread  ──> all records         a chain that only grows; a record without a tid is free
//
// The pointer is in the root's module alone, because a plugin's copy of a thread-local variable is
// a different variable; other modules reach it through a function of the root's
// (state/process_state.hpp).
//
// Reading is signal-safe and lock-free. Taking a record is thread-safe, not for signal handlers.
#ifndef WHENCE_TABLES_THREAD_RECORDS_HPP
#define WHENCE_TABLES_THREAD_RECORDS_HPP

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>

#include <whence/instruments/thread_words.hpp>
#include <whence/sys/arena.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/sys/thread_local.hpp>
#include <whence/sys/thread_pointer.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::tables {

// The head of a piece of passing_labels.hpp.
struct passing_chunk {
  static constexpr std::uint64_t is_written = 1;
  std::atomic<std::uint64_t> state{0};  // its lap, and whether a thread writes into it
};

struct alignas(sys::cache_line) thread_record : instruments::thread_words {
  std::atomic<::pid_t> tid{0};            // 0: free
  std::atomic<std::uint32_t> name{0};     // a set of the label `thread` alone; 0: unnamed
  std::atomic<bucket*> created{nullptr};  // in threadcreate, which counts living threads
  // Into which it writes labels, and the state of that when it does not. The record's next thread
  // goes on there.
  std::atomic<passing_chunk*> chunk{nullptr};
  std::atomic<std::uint64_t> chunk_state{0};
  thread_record* next = nullptr;

  // The thread, which a child of fork does not have, may have been writing.
  void leave_chunk() noexcept {
    passing_chunk* const c = chunk.load(std::memory_order_relaxed);
    const std::uint64_t state = chunk_state.load(std::memory_order_relaxed);
    std::uint64_t written = state | passing_chunk::is_written;
    if (c != nullptr) c->state.compare_exchange_strong(written, state, std::memory_order_release);
  }

  // The thread has ended.
  void forget() noexcept {
    clear();
    tid.store(0, std::memory_order_release);
  }
  void clear() noexcept {
    owner.store(0, std::memory_order_relaxed);
    bucket* const b = created.exchange(nullptr, std::memory_order_relaxed);
    if (b != nullptr) b->add(0, -1);
    labels.store(0, std::memory_order_relaxed);
    name.store(0, std::memory_order_relaxed);
    starts_unrecorded.store(false, std::memory_order_relaxed);
  }
};

using own_record = std::atomic<thread_record*>;
WHENCE_THREAD_LOCAL own_record record_in_this_module{nullptr};

// The record variable of the module that this function is in.
[[gnu::visibility("hidden")]] inline own_record& record_of_caller() noexcept {
  return record_in_this_module;
}

// Gives the record back at the thread's end; in the same module.
[[gnu::visibility("hidden")]] inline void end_of_thread(void* record) noexcept {
  record_in_this_module.store(nullptr, std::memory_order_relaxed);
  static_cast<thread_record*>(record)->forget();
}

class thread_records {
 public:
  // What a record has instead of a tid while a thread takes it.
  static constexpr ::pid_t claimed = -1;

  constexpr explicit thread_records(sys::arena& memory) noexcept : arena_(memory) {}

  // Takes a record for the calling thread, which must not have one. nullptr if memory is exhausted.
  [[gnu::noinline, gnu::cold]] thread_record* take() noexcept {
    const ::pid_t tid = ::gettid();
    thread_record* const r = reuse(tid);
    if (r == nullptr) return nullptr;
    r->owner.store(sys::thread_pointer(), std::memory_order_relaxed);
    own().store(r, std::memory_order_relaxed);
    // If the thread's end cannot be observed, the record stays taken.
    if (make_key()) ::pthread_setspecific(key_, r);
    return r;
  }

  // nullptr if the thread has none.
  const thread_record* find(::pid_t tid) const noexcept {
    for (const thread_record* r = first(); r != nullptr; r = r->next) {
      if (r->tid.load(std::memory_order_acquire) == tid) return r;
    }
    return nullptr;
  }

  // Calls visit(tid) for each thread that has one.
  template <class Visit>
  void for_each_tid(Visit visit) const {
    for (const thread_record* r = first(); r != nullptr; r = r->next) {
      const ::pid_t tid = r->tid.load(std::memory_order_acquire);
      if (tid > 0) visit(tid);
    }
  }

  // The labels in force on a thread, as instruments::label_word. Signal-safe. Acquire: what they
  // refer to can be read.
  std::uint64_t labels_of(::pid_t tid) const noexcept {
    const thread_record* const r = find(tid);
    return r == nullptr ? 0 : r->labels.load(std::memory_order_acquire);
  }

  // Calls visit(word) for the labels of each record that a thread has, or had.
  template <class Visit>
  void for_each_labels(Visit visit) const {
    for (const thread_record* r = first(); r != nullptr; r = r->next) {
      const std::uint64_t word = r->labels.load(std::memory_order_acquire);
      if (word != 0) visit(word);
    }
  }

  // The record of the calling thread. The functions are the root module's.
  own_record& own() const noexcept { return own_(); }

  // Runs in the child of a fork: only the calling thread is there, and its tid is new.
  void after_fork_in_child() noexcept {
    const thread_record* const mine = own().load(std::memory_order_relaxed);
    for (thread_record* r = head_.load(std::memory_order_relaxed); r != nullptr; r = r->next) {
      if (r == mine) {
        r->tid.store(::gettid(), std::memory_order_relaxed);
      } else {
        r->leave_chunk();
        r->forget();
      }
    }
  }

  sys::spin_lock& lock() noexcept { return lock_; }

 private:
  const thread_record* first() const noexcept { return head_.load(std::memory_order_acquire); }

  thread_record* reuse(::pid_t tid) noexcept {
    for (thread_record* r = head_.load(std::memory_order_acquire); r != nullptr; r = r->next) {
      const ::pid_t its = r->tid.load(std::memory_order_relaxed);
      // This thread has no record yet, so one with its tid belongs to a thread that has ended.
      if ((its == 0 || its == tid) && claim(*r, its)) return keep(*r, tid);
    }
    if (thread_record* const r = of_ended_thread()) return keep(*r, tid);
    void* const memory = arena_.allocate_always(sizeof(thread_record));
    if (memory == nullptr) return nullptr;
    auto* const made = ::new (memory) thread_record;
    made->tid.store(tid, std::memory_order_relaxed);
    made->next = head_.load(std::memory_order_relaxed);
    while (!head_.compare_exchange_weak(made->next, made, std::memory_order_release,
                                        std::memory_order_relaxed)) {
    }
    return made;
  }

  // Only one thread claims a record; `its` is the number that it has.
  static bool claim(thread_record& r, ::pid_t its) noexcept {
    return r.tid.compare_exchange_strong(its, claimed, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  static thread_record* keep(thread_record& r, ::pid_t tid) noexcept {
    r.clear();
    r.tid.store(tid, std::memory_order_release);
    return &r;
  }

  // Looks at a few of the records that are taken, in turn, for one whose thread has ended: nullptr
  // if none of those has.
  thread_record* of_ended_thread() noexcept {
    thread_record* r = to_look_at_.load(std::memory_order_relaxed);
    thread_record* ended = nullptr;
    for (int i = 0; i < looks && ended == nullptr; ++i) {
      if (r == nullptr) r = head_.load(std::memory_order_acquire);
      if (r == nullptr) break;
      ::pid_t its = r->tid.load(std::memory_order_relaxed);
      // Looked at again when it is claimed: a new thread may have had the number meanwhile.
      if (its > 0 && has_ended(its) && claim(*r, its)) {
        if (has_ended(its)) {
          ended = r;
        } else {
          ::pid_t still = claimed;
          r->tid.compare_exchange_strong(still, its, std::memory_order_release);
        }
      }
      r = r->next;
    }
    to_look_at_.store(r, std::memory_order_relaxed);
    return ended;
  }

  static bool has_ended(::pid_t tid) noexcept { return sys::thread_cpu_ns(tid) < 0; }

  bool make_key() noexcept {
    const sys::guard hold(lock_);
    if (!has_key_) has_key_ = ::pthread_key_create(&key_, end_) == 0;
    return has_key_;
  }

  sys::arena& arena_;
  own_record& (*own_)() noexcept = &record_of_caller;
  void (*end_)(void*) noexcept = &end_of_thread;
  static constexpr int looks = 8;
  std::atomic<thread_record*> head_{nullptr};
  std::atomic<thread_record*> to_look_at_{nullptr};
  sys::spin_lock lock_;
  bool has_key_ = false;
  ::pthread_key_t key_{};
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_THREAD_RECORDS_HPP
