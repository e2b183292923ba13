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
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/throw_or_abort.hpp>
#include <whence/tables/label_merges.hpp>
#include <whence/tables/label_sets.hpp>

namespace whence::inline v1::record {

using instruments::label_pair;
using instruments::label_value;

// A function of its own, because its array would be on the stack of every use of a single label.
[[gnu::noinline]] inline std::uint32_t intern_sorted(state::process_state& s,
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
  return s.labels.intern({sorted, n});
}

// `pairs`: label_pairs. Throws: std::length_error for more than 64.
inline std::uint32_t intern_labels(const void* pairs, std::size_t count) {
  state::process_state* const s = state::attached();
  if (s == nullptr) return tables::label_sets::none;
  const auto* const first = static_cast<const label_pair*>(pairs);
  if (count != 1) return intern_sorted(*s, first, count);
  label_value::digits room;
  const instruments::label one{first->first, first->second.text(room)};
  return s->labels.intern({&one, 1});
}

inline std::uint32_t merge_labels(std::uint32_t below, std::uint32_t above) noexcept {
  state::process_state* const s = state::attached();
  return s == nullptr ? below : s->label_merges.over(below, above);
}

inline instruments::label_list labels_of(std::uint32_t id) noexcept {
  const state::process_state* const s = state::attached();
  return s == nullptr ? instruments::label_list{} : s->labels.of(id);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_LABELS_HPP
