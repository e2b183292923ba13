// SPDX-License-Identifier: Apache-2.0
//
// Sets of labels by number, for <whence/labels.hpp>.
#ifndef WHENCE_RECORD_LABELS_HPP
#define WHENCE_RECORD_LABELS_HPP

#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string_view>

#include <whence/instruments/label.hpp>
#include <whence/instruments/label_word.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/sys/throw_or_abort.hpp>
#include <whence/tables/label_merges.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/label_values.hpp>

namespace whence::inline v1::record {

using instruments::label_pair;
using instruments::label_value;

// The set, and a ticket for what it does not show. Not for signal handlers.
inline std::uint64_t intern_list(state::process_state& s, instruments::label_list labels) noexcept {
  return s.labels.intern(labels, [&s](std::uint32_t number, const tables::replaced_labels& those) {
    tables::thread_record* const mine = state::record_of_this_thread(s);
    const std::uint64_t ticket = mine == nullptr ? 0 : s.passing_labels.keep(*mine, those);
    return instruments::label_word(number, ticket);
  });
}

// A function of its own, because its array would be on the stack of every use of a single label.
[[gnu::noinline]] inline std::uint64_t intern_sorted(state::process_state& s,
                                                     const label_pair* pairs, std::size_t count) {
  if (count > tables::most_labels) {
    sys::throw_or_abort<std::length_error>("whence::labels: more than 64 labels");
  }
  auto* const sorted =
      static_cast<instruments::label*>(__builtin_alloca((count + 1) * sizeof(instruments::label)));
  auto* const rooms = static_cast<label_value::digits*>(
      __builtin_alloca((count + 1) * sizeof(label_value::digits)));
  std::size_t n = 0;
  for (std::size_t next = 0; next < count; ++next) {
    const std::string_view key = pairs[next].first;
    const std::string_view value = pairs[next].second.text(rooms[next]);
    std::size_t at = n;
    while (at > 0 && key < sorted[at - 1].key) --at;
    if (at > 0 && sorted[at - 1].key == key) {
      sorted[at - 1].value = value;
      continue;
    }
    for (std::size_t i = n++; i > at; --i) sorted[i] = sorted[i - 1];
    ::new (sorted + at) instruments::label{key, value};
  }
  return intern_list(s, {sorted, n});
}

// `pairs`: label_pairs. Throws: std::length_error for more than 64.
inline std::uint64_t intern_labels(const void* pairs, std::size_t count) {
  state::process_state& s = state::attached();
  const auto* const first = static_cast<const label_pair*>(pairs);
  if (count != 1) return intern_sorted(s, first, count);
  label_value::digits room;
  const instruments::label one{first->first, first->second.text(room)};
  return intern_list(s, {&one, 1});
}

// True if one of the labels has a value that the set does not show.
inline bool shows_other(instruments::label_list labels) noexcept {
  for (const instruments::label& l : labels) {
    if (l.value == tables::label_sets::other) return true;
  }
  return false;
}

// Needs a new ticket only if both have one, if their union is too much for the sets, or if the
// upper one has lost a value: that key must not show the lower one's.
[[gnu::noinline]] inline std::uint64_t merge_labels(std::uint64_t below,
                                                    std::uint64_t above) noexcept {
  state::process_state& s = state::attached();
  // (An array would be initialized each time.)
  tables::replaced_labels replaced{static_cast<tables::replaced_label*>(
      __builtin_alloca(tables::most_labels * sizeof(tables::replaced_label)))};
  const std::uint32_t number = s.label_merges.over(instruments::label_number_in(below),
                                                   instruments::label_number_in(above), replaced);
  const std::uint64_t lower = instruments::label_ticket_in(below);
  const std::uint64_t upper = instruments::label_ticket_in(above);
  if (replaced.empty() && (lower == 0 || lower == upper)) [[likely]] {
    return instruments::label_word(number, upper);
  }
  const instruments::label_list over = s.labels.of(instruments::label_number_in(above));
  if (replaced.empty() && upper == 0 && !shows_other(over)) {
    return instruments::label_word(number, lower);
  }
  tables::thread_record* const mine = state::record_of_this_thread(s);
  return instruments::label_word(
      number, mine == nullptr ? 0 : s.passing_labels.keep(*mine, replaced, upper, lower, over));
}

inline instruments::label_list labels_of(std::uint32_t id) noexcept {
  return state::attached().labels.of(id);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_LABELS_HPP
