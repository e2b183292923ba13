// SPDX-License-Identifier: Apache-2.0
//
// Labels: what a thread is working for, said once and shown on every sample it causes meanwhile:
// CPU time, waits, memory, entries of custom profiles.
//
//   void handle(const request& r) {
//     whence::scoped_labels scope{{"handler", r.path}, {"tenant", r.tenant}};
//     ...
//   }
//
//   $ go tool pprof -tags cpu.pb.gz
//   $ go tool pprof -top -tagfocus=handler=/search heap.pb.gz
//
// They nest: an inner scope adds to what is in force and puts it back when it ends, by an exception
// too. A task that another thread goes on with takes them along:
//
//   pool.post([mine = whence::current_labels()] { whence::scoped_labels_of scope(mine); ... });
//
// A coroutine does the same around each of its resumptions: a scope must not be open while it is
// suspended, since it belongs to the thread.
//
// Sets are kept for the life of the process, 61439 different ones at most; the samples of those
// beyond carry labels=[overflow]. So label by what there is a bounded number of (a handler, a
// tenant), not by request number. Thread-safe; not for signal handlers. Never throws but where it
// says so. Cost: some 10 ns for a set seen before. (Go: runtime/pprof, Labels and Do)
#ifndef WHENCE_LABELS_HPP
#define WHENCE_LABELS_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <whence/names.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/thread_labels.hpp>
#include <whence/stack/label_merges.hpp>
#include <whence/stack/label_sets.hpp>
#include <whence/sys/raise.hpp>

namespace whence::inline v1 {

using stack::label;

// An immutable set of labels, sorted by key. A number: copying it copies nothing else.
class labels {
 public:
  using list = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  labels() noexcept = default;
  // Of two values for one key the later is taken. The texts are copied.
  // Throws: std::length_error for more than 64 labels.
  labels(list pairs) : id_(intern(pairs)) {}

  bool empty() const noexcept { return id_ == stack::label_sets::none; }
  std::size_t size() const noexcept { return all().size(); }
  const label* begin() const noexcept { return all().begin(); }
  const label* end() const noexcept { return all().end(); }

  // The value of `key`; empty where there is none.
  std::string_view operator[](std::string_view key) const noexcept {
    for (const label& l : *this) {
      if (l.key == key) return l.value;
    }
    return {};
  }

  // These and `more`, whose values win. (Go: pprof.WithLabels)
  labels with(labels more) const noexcept {
    core::process_state* const s = core::state();
    return s == nullptr ? *this : labels(s->label_merges.over(id_, more.id_));
  }

  friend bool operator==(labels a, labels b) noexcept { return a.id_ == b.id_; }

  // For instruments and samplers, not for programs.
  explicit labels(std::uint32_t id) noexcept : id_(id) {}
  std::uint32_t id() const noexcept { return id_; }

 private:
  stack::label_list all() const noexcept {
    const core::process_state* const s = core::state();
    return s == nullptr ? stack::label_list{} : s->labels.of(id_);
  }

  static std::uint32_t intern(list pairs) {
    core::process_state* const s = core::state();
    if (s == nullptr) return stack::label_sets::none;
    if (pairs.size() != 1) return intern_sorted(*s, pairs);
    const label one{pairs.begin()->first, pairs.begin()->second};
    return s->labels.intern({&one, 1});
  }

  // Apart, because its array would be on the stack of every use of one label.
  [[gnu::noinline]] static std::uint32_t intern_sorted(core::process_state& s, list pairs) {
    if (pairs.size() > stack::most_labels) {
      sys::raise<std::length_error>("whence::labels: more than 64 labels");
    }
    label* const sorted = static_cast<label*>(__builtin_alloca(pairs.size() * sizeof(label)));
    std::size_t n = 0;
    for (const auto& [key, value] : pairs) {
      std::size_t at = n;
      while (at > 0 && key < sorted[at - 1].key) --at;
      if (at > 0 && sorted[at - 1].key == key) {
        sorted[at - 1].value = value;
        continue;
      }
      for (std::size_t i = n++; i > at; --i) sorted[i] = sorted[i - 1];
      ::new (sorted + at) label{key, value};
    }
    return s.labels.intern({sorted, n});
  }

  std::uint32_t id_ = stack::label_sets::none;
};

// The labels in force on the calling thread.
inline labels current_labels() noexcept {
  const core::process_state* const s = core::state();
  return s == nullptr ? labels{} : labels(core::labels_of_this_thread(*s));
}

namespace core {

// Puts a set in force on the calling thread, and the one before back when it goes.
class label_scope {
 public:
  enum class mode : bool { alone, over_current };

  label_scope(labels l, mode how) noexcept {
    process_state* const s = state();
    if (s == nullptr) return;
    thread_ = record_of_this_thread(*s);
    if (thread_ == nullptr) return;
    before_ = thread_->labels.load(std::memory_order_relaxed);
    thread_->labels.store(how == mode::alone ? l.id() : s->label_merges.over(before_, l.id()),
                          std::memory_order_relaxed);
  }
  ~label_scope() {
    // A scope that ends on another thread is a mistake, but must not change that thread's labels.
    if (thread_ != nullptr && this_thread(*state()) == thread_) {
      thread_->labels.store(before_, std::memory_order_relaxed);
    }
  }
  label_scope(const label_scope&) = delete;
  label_scope& operator=(const label_scope&) = delete;

 private:
  thread_record* thread_ = nullptr;
  std::uint32_t before_ = stack::label_sets::none;
};

}  // namespace core

// While it lives, the calling thread has these labels over those it had. Throws: as labels.
template <bool Enabled>
class [[nodiscard]] basic_scoped_labels {
 public:
  [[nodiscard]] basic_scoped_labels(labels::list pairs) : basic_scoped_labels(labels(pairs)) {}
  [[nodiscard]] explicit basic_scoped_labels(labels l) noexcept
      : scope_(l, core::label_scope::mode::over_current) {}

 private:
  core::label_scope scope_;
};

// While it lives, the calling thread has these labels and no others: to go on with a task where
// another thread, or another time, left it.
template <bool Enabled>
class [[nodiscard]] basic_scoped_labels_of {
 public:
  [[nodiscard]] explicit basic_scoped_labels_of(labels l) noexcept
      : scope_(l, core::label_scope::mode::alone) {}

 private:
  core::label_scope scope_;
};

// The same that do nothing.
template <>
class [[maybe_unused, nodiscard]] basic_scoped_labels<false> {
 public:
  [[nodiscard]] basic_scoped_labels(labels::list) noexcept {}
  [[nodiscard]] explicit basic_scoped_labels(labels) noexcept {}
  basic_scoped_labels(const basic_scoped_labels&) = delete;
  basic_scoped_labels& operator=(const basic_scoped_labels&) = delete;
};
template <>
class [[maybe_unused, nodiscard]] basic_scoped_labels_of<false> {
 public:
  [[nodiscard]] explicit basic_scoped_labels_of(labels) noexcept {}
  basic_scoped_labels_of(const basic_scoped_labels_of&) = delete;
  basic_scoped_labels_of& operator=(const basic_scoped_labels_of&) = delete;
};

// Calls f() with these labels over those in force. (Go: pprof.Do)
template <class F, bool Enabled = !config::disabled>
decltype(auto) with_labels(labels l, F&& f) {
  const basic_scoped_labels<Enabled> scope(l);
  return std::forward<F>(f)();
}

}  // namespace whence::inline v1

#endif  // WHENCE_LABELS_HPP
