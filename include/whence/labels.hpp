// SPDX-License-Identifier: Apache-2.0
//
// Labels say what a thread is working for. They are set once, and show on every sample that the
// thread causes meanwhile: CPU time, waits, memory, entries of custom profiles.
//
//   void handle(const request& r) {
//     whence::scoped_labels scope{{"handler", r.path}, {"tenant", r.tenant_id}};
//     ...
//     whence::scoped_labels inner{"phase", "parse"};   // a single label
//   }
//
//   $ go tool pprof -tags cpu.pb.gz
//   $ go tool pprof -top -tagfocus=handler=/search heap.pb.gz
//
// A value is a text or an integer, which shows as its decimal digits.
//
// Scopes nest: an inner scope adds to the labels in force, and its end puts them back, after an
// exception too. A task that continues on another thread takes them along:
//
//   pool.post([mine = whence::current_labels()] { whence::scoped_labels_only scope(mine); ... });
//
// A coroutine does the same around each of its resumptions: a scope must not be open while a
// coroutine is suspended, since it belongs to the thread.
//
// Keys and values are cut after 128 bytes. A key has 1024 values at most, which are kept for the
// life of the process; in what stays (memory, waits, entries) all further ones are one value,
// `[other]`, of that key alone. CPU and wall-clock samples show them as they are, for as long as
// their window is open: so the number of a request or a span may be a label. Until a sample takes
// such a value it is in a ring of 2 MiB at most, which some 30 000 sets fill. What a thread carries
// stays in it; a set that only the program holds may be `[other]` again after so many others.
//
// Of sets there are 61439 at most. A key may hold an eighth of those left, as combinations in which
// it has the most values; in further ones it is `[other]`, which samples show as they are, too.
// Thread-safe; not for signal handlers. Functions throw only if they say so. Cost: some 10 ns for a
// set seen before, and about twice that for one with values beyond the limit.
// (Go: runtime/pprof, Labels and Do)
#ifndef WHENCE_LABELS_HPP
#define WHENCE_LABELS_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

#include <whence/instruments/label.hpp>
#include <whence/instruments/label_word.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/instruments/thread_words.hpp>
#include <whence/names.hpp>
#include <whence/sys/atomic_word.hpp>

namespace whence::inline v1 {

using instruments::label;
using instruments::label_value;

// An immutable set of labels, sorted by key. It is a number, so copying it copies nothing else.
class labels {
 public:
  using list = std::initializer_list<instruments::label_pair>;

  labels() noexcept = default;
  // If a key has two values, the later one is taken. The texts are copied.
  // Throws: std::length_error for more than 64 labels.
  labels(list pairs) : word_(intern(pairs)) {}
  labels(std::string_view key, label_value value) : labels({{key, value}}) {}

  bool empty() const noexcept { return word_ == 0; }
  std::size_t size() const noexcept { return all().size(); }
  const label* begin() const noexcept { return all().begin(); }
  const label* end() const noexcept { return all().end(); }

  // The value of `key`; empty if the set lacks it, `[other]` if it is beyond the limit.
  std::string_view operator[](std::string_view key) const noexcept {
    for (const label& l : *this) {
      if (l.key == key) return l.value;
    }
    return {};
  }

  // These labels and `more`, whose values win. (Go: pprof.WithLabels)
  labels with(labels more) const noexcept {
    if (word_ == 0) return more;
    if (more.word_ == 0) return *this;
    const instruments::recorder* const r = instruments::recorder_here();
    return r == nullptr ? *this : labels(r->merge_labels(word_, more.word_));
  }

  // Values that show as `[other]` are equal.
  friend bool operator==(labels a, labels b) noexcept { return a.id() == b.id(); }

  // For instruments and samplers, not for programs: instruments::label_word.
  explicit labels(std::uint64_t word) noexcept : word_(word) {}
  std::uint64_t word() const noexcept { return word_; }
  std::uint32_t id() const noexcept { return instruments::label_number_in(word_); }

 private:
  instruments::label_list all() const noexcept {
    const instruments::recorder* const r = instruments::recorder_here();
    return r == nullptr ? instruments::label_list{} : r->labels_of(id());
  }

  static std::uint64_t intern(list pairs) {
    const instruments::recorder* const r = instruments::recorder_here();
    return r == nullptr ? 0 : r->intern_labels(pairs.begin(), pairs.size());
  }

  std::uint64_t word_ = 0;  // 0: the empty set
};

// The labels in force on the calling thread.
inline labels current_labels() noexcept {
  const instruments::thread_words* const words = instruments::this_thread();
  return words == nullptr ? labels{} : labels(words->labels.load(sys::relaxed));
}

namespace instruments {

// Puts a set in force on the calling thread, and the previous one back at its end.
class label_scope {
 public:
  enum class mode : bool { alone, over_current };

  label_scope(labels l, mode how) noexcept : thread_(this_thread()) {
    if (thread_ == nullptr) return;
    before_ = thread_->labels.load(sys::relaxed);
    const labels in_force = how == mode::alone ? l : labels(before_).with(l);
    // Release: a sampler that reads the word on another thread reads what it refers to.
    thread_->labels.store(in_force.word(), sys::release);
  }
  ~label_scope() {
    // A scope that ends on another thread is a mistake, but must not change that thread's labels.
    if (thread_ != nullptr && is_of_this_thread(*thread_)) {
      thread_->labels.store(before_, sys::release);
    }
  }
  label_scope(const label_scope&) = delete;
  label_scope& operator=(const label_scope&) = delete;

 private:
  thread_words* thread_;
  std::uint64_t before_ = 0;
};

}  // namespace instruments

// While it lives, the calling thread has these labels over those it had. Throws: as labels.
template <bool Enabled>
class [[nodiscard]] basic_scoped_labels {
 public:
  [[nodiscard]] basic_scoped_labels(labels::list pairs) : basic_scoped_labels(labels(pairs)) {}
  [[nodiscard]] basic_scoped_labels(std::string_view key, label_value value)
      : basic_scoped_labels(labels(key, value)) {}
  [[nodiscard]] explicit basic_scoped_labels(labels l) noexcept
      : scope_(l, instruments::label_scope::mode::over_current) {}

 private:
  instruments::label_scope scope_;
};

// While it lives, the calling thread has these labels and no others. It continues a task that
// another thread began, or that was interrupted.
template <bool Enabled>
class [[nodiscard]] basic_scoped_labels_only {
 public:
  [[nodiscard]] explicit basic_scoped_labels_only(labels l) noexcept
      : scope_(l, instruments::label_scope::mode::alone) {}

 private:
  instruments::label_scope scope_;
};

// The variants that do nothing.
template <>
class [[maybe_unused, nodiscard]] basic_scoped_labels<false> {
 public:
  [[nodiscard]] basic_scoped_labels(labels::list) noexcept {}
  [[nodiscard]] basic_scoped_labels(std::string_view, label_value) noexcept {}
  [[nodiscard]] explicit basic_scoped_labels(labels) noexcept {}
  basic_scoped_labels(const basic_scoped_labels&) = delete;
  basic_scoped_labels& operator=(const basic_scoped_labels&) = delete;
};
template <>
class [[maybe_unused, nodiscard]] basic_scoped_labels_only<false> {
 public:
  [[nodiscard]] explicit basic_scoped_labels_only(labels) noexcept {}
  basic_scoped_labels_only(const basic_scoped_labels_only&) = delete;
  basic_scoped_labels_only& operator=(const basic_scoped_labels_only&) = delete;
};

// Calls f() with these labels over those in force. (Go: pprof.Do)
template <class F, bool Enabled = !config::disabled>
decltype(auto) with_labels(labels l, F&& f) {
  const basic_scoped_labels<Enabled> scope(l);
  return std::forward<F>(f)();
}

}  // namespace whence::inline v1

#endif  // WHENCE_LABELS_HPP
