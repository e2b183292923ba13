// SPDX-License-Identifier: Apache-2.0
//
// The rows of a window: copies of what its epochs hold, because that is freed with the window. A
// stack that two epochs have is one row, and equal labels are one array, as readers expect. All
// rows of the process have a budget; a stack that it has no room for is counted on [overflow].
//
// Not for signal handlers. Functions throw std::bad_alloc.
#ifndef WHENCE_SAMPLERS_WINDOW_ROWS_HPP
#define WHENCE_SAMPLERS_WINDOW_ROWS_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <whence/core/counters.hpp>
#include <whence/core/kinds.hpp>
#include <whence/instruments/label.hpp>
#include <whence/snapshots/rows.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/pages.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/label_values.hpp>
#include <whence/tables/pseudo_frame.hpp>
#include <whence/tables/stack_hash.hpp>

namespace whence::inline v1::samplers {

template <class = void>
class basic_window_rows {
 public:
  basic_window_rows(instruments::kind k, const tables::label_sets& sets, sys::memory_budget& room)
      : kind_(k), sets_(sets), memory_(std::make_shared<memory>(room)) {}

  // The samples that are on [overflow] because of the budget.
  std::int64_t without_room() const noexcept { return without_room_; }

  void add(const tables::bucket& b, std::int64_t samples, std::int64_t time) {
    std::uint32_t at = index_.find(
        b.identity.low, [&](std::uint32_t i) { return known_[i].identity == b.identity; });
    if (at == sys::flat_index::none && b.overflow()) at = overflow_at_;
    if (at == sys::flat_index::none && memory_->take(bytes_of(b))) at = add_row(b);
    if (at == sys::flat_index::none) {
      without_room_ += samples;
      at = overflow_row();
    }
    rows_[at].values[0] += samples;
    rows_[at].values[1] += time;
  }

  // Appends the rows, and the memory that they refer to. Requires: nothing is added afterwards.
  void move_to(profile_snapshot& p) {
    sys::vector<const instruments::label*> arrays;
    for (const array& a : arrays_) arrays.push_back(make(a));
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      profile_row& row = rows_[i];
      row.stack = {memory_->frames.data() + known_[i].first_frame, row.stack.size()};
      row.raw = row.values;
      if (known_[i].labels != no_array) {
        row.labels = {arrays[known_[i].labels], row.labels.size()};
      }
      p.rows.push_back(row);
    }
    p.memory = std::move(memory_);
  }

 private:
  struct memory {
    explicit memory(sys::memory_budget& b) noexcept : budget(b) {}
    ~memory() { budget.give_back(taken); }
    memory(const memory&) = delete;
    memory& operator=(const memory&) = delete;

    bool take(std::size_t bytes) noexcept {
      if (!budget.take(bytes)) return false;
      taken += bytes;
      return true;
    }

    sys::memory_budget& budget;
    std::size_t taken = 0;
    std::vector<std::uintptr_t> frames;
    sys::vector<std::unique_ptr<instruments::label[]>> labels;
    sys::vector<std::unique_ptr<char[]>> texts;
  };
  struct known_row {
    tables::hash128 identity;
    std::size_t first_frame;
    std::size_t labels;  // place in arrays_
  };
  // Labels that are not a set's: a set, and the values in place of its [other].
  struct array {
    std::uint32_t set;
    std::uint64_t hash;
    std::size_t first_word, words;
  };
  static constexpr std::size_t index_bytes = 48;  // of a row, or less
  static constexpr std::size_t no_array = static_cast<std::size_t>(-1);

  std::uint32_t add_row(const tables::bucket& b) {
    const auto at = static_cast<std::uint32_t>(rows_.size());
    const std::size_t labels = b.values().empty() ? no_array : array_of(b);
    index_.insert(b.identity.low, at);
    known_.push_back({b.identity, memory_->frames.size(), labels});
    rows_.push_back(snapshots::row_of(kind_, b, sets_));
    rows_.back().values = {};
    rows_.back().number = 0;
    memory_->frames.insert(memory_->frames.end(), b.pcs(), b.pcs() + b.depth());
    if (b.overflow()) overflow_at_ = at;
    return at;
  }

  // The one row for what has no room.
  std::uint32_t overflow_row() {
    if (overflow_at_ != sys::flat_index::none) return overflow_at_;
    overflow_at_ = static_cast<std::uint32_t>(rows_.size());
    known_.push_back({{}, memory_->frames.size(), no_array});
    memory_->frames.push_back(tables::pseudo::overflow);
    profile_row row;
    row.stack = {memory_->frames.data(), 1};
    rows_.push_back(row);
    return overflow_at_;
  }

  std::size_t bytes_of(const tables::bucket& b) const noexcept {
    const tables::label_values values = b.values();
    const std::size_t labels = values.empty()
                                   ? 0
                                   : values.size * 2 * sizeof(std::uint64_t) +
                                         sets_.of(b.labels).size() * sizeof(instruments::label);
    constexpr std::size_t row = sizeof(profile_row) + sizeof(known_row) + index_bytes;
    return row + b.depth() * sizeof(std::uintptr_t) + labels;
  }

  std::size_t array_of(const tables::bucket& b) {
    const tables::label_values values = b.values();
    const std::uint64_t place = values.hash ^ b.labels;
    const std::uint32_t known = array_index_.find(place, [&](std::uint32_t i) {
      return arrays_[i].hash == values.hash && arrays_[i].set == b.labels;
    });
    if (known != sys::flat_index::none) return known;
    array_index_.insert(place, static_cast<std::uint32_t>(arrays_.size()));
    arrays_.push_back({b.labels, values.hash, words_.size(), values.size});
    for (std::size_t i = 0; i < values.size; ++i) {
      words_.push_back(values.words[i].load(std::memory_order_relaxed));
    }
    return arrays_.size() - 1;
  }

  const instruments::label* make(const array& a) {
    const instruments::label_list set = sets_.of(a.set);
    auto labels = std::make_unique<instruments::label[]>(set.size());
    for (std::size_t i = 0; i < set.size(); ++i) {
      labels[i] = set[i];
      if (set[i].value == tables::label_sets::other) labels[i].value = value_of(a, set[i]);
    }
    memory_->labels.push_back(std::move(labels));
    return memory_->labels.back().get();
  }

  // The value for the label's key, whose text ends in a zero byte; else the label's.
  std::string_view value_of(const array& a, const instruments::label& l) {
    for (std::size_t i = a.first_word; i < a.first_word + a.words;) {
      const std::size_t size = tables::label_values::text_size(words_[i]);
      if (tables::label_values::key(words_[i]).data() == l.key.data()) {
        auto text = std::make_unique<char[]>(size + 1);
        const char* const from = reinterpret_cast<const char*>(words_.data() + i + 1);
        for (std::size_t at = 0; at < size; ++at) text[at] = from[at];
        memory_->texts.push_back(std::move(text));
        return {memory_->texts.back().get(), size};
      }
      i += tables::label_values::words_of(size);
    }
    return l.value;
  }

  const instruments::kind kind_;
  const tables::label_sets& sets_;
  std::shared_ptr<memory> memory_;
  std::vector<profile_row> rows_;
  sys::vector<known_row> known_;
  sys::flat_index index_, array_index_;
  std::uint32_t overflow_at_ = sys::flat_index::none;
  std::int64_t without_room_ = 0;
  sys::vector<array> arrays_;
  sys::vector<std::uint64_t> words_;
};
using window_rows = basic_window_rows<>;

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WINDOW_ROWS_HPP
