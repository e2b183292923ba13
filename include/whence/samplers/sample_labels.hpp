// SPDX-License-Identifier: Apache-2.0
//
// The labels of a sample: the set that is kept for the life of the process, and the values that it
// shows as `[other]`, which the sample's epoch copies. Signal-safe.
#ifndef WHENCE_SAMPLERS_SAMPLE_LABELS_HPP
#define WHENCE_SAMPLERS_SAMPLE_LABELS_HPP

#include <cstdint>

#include <whence/instruments/label_word.hpp>
#include <whence/state/process_state.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/label_values.hpp>
#include <whence/tables/losses.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::samplers {

class sample_labels {
 public:
  // `word`: as instruments::label_word. Values that are gone are counted as lost.
  sample_labels(state::process_state& s, std::uint64_t word) noexcept
      : number_(instruments::label_number_in(word)) {
    const std::uint64_t ticket = instruments::label_ticket_in(word);
    if (ticket == 0) [[likely]]
      return;
    values_ = s.passing_labels.find(ticket);
    if (values_.empty()) s.losses.count(tables::loss::passing_labels);
  }

  // The key of a stack with these labels, for as long as they live.
  tables::key over(const unwind::trace& t) const noexcept {
    tables::key k{{t.pcs, t.depth, t.truncated, t.leaf_is_ip}, 0, 0, number_};
    if (!values_.empty()) {
      k.number = values_.hash;
      k.values = &values_;
    }
    return k;
  }

 private:
  std::uint32_t number_;
  tables::label_values values_;
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_SAMPLE_LABELS_HPP
