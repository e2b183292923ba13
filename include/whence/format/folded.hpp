// SPDX-License-Identifier: Apache-2.0
//
// A profile as folded stacks, which flamegraph.pl, speedscope and many others read:
//
//   main;work;std::vector::push_back 4096
//
// One line for each stack, root first, with inlined frames, without the frames that pprof drops
// too; lines are sorted and have one sample type. (B. Gregg)
//
// A line of a million is not kept as text (500 MB) but as a place in its stack: the lines are
// sorted by their first frame, those that share it by the second, and so on (multikey quicksort),
// which finds equal lines too.
#ifndef WHENCE_FORMAT_FOLDED_HPP
#define WHENCE_FORMAT_FOLDED_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/core/kinds.hpp>
#include <whence/format/by_address.hpp>
#include <whence/format/drop_frames.hpp>
#include <whence/format/lookup.hpp>
#include <whence/format/process_code.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/format/wanted.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/symbols/symbolizer.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/vector.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

// The names of a profile's frames: a number for each text, which tells its place in the order.
template <class = void>
class basic_folded_names {
 public:
  // Throws: std::bad_alloc, and as the check.
  basic_folded_names(const snapshots::row_source& rows, name_style style, sys::work_check check)
      : style_(style),
        kind_(rows.header().kind),
        at_(
            rows, [this](std::uintptr_t a) { return make(a); }, check) {
    code_.close();
    rank();
  }

  // The names at an address, leaf first.
  std::span<const std::uint32_t> at(std::uintptr_t address) {
    const range r = at_[address];
    return std::span<const std::uint32_t>(numbers_).subspan(r.first, r.count);
  }
  std::string_view text(std::uint32_t name) const { return all_[name].text; }
  bool is_dropped(std::uint32_t name) const { return all_[name].is_dropped; }

  // Orders names as their texts with what follows them in a line.
  std::uint32_t rank(std::uint32_t name, bool is_last) const {
    return is_last ? all_[name].rank_at_end : all_[name].rank_inside;
  }

 private:
  struct range {
    std::uint32_t first = 0, count = 0;  // in numbers_
  };
  struct known_name {
    std::string text;
    bool is_dropped;
    std::uint32_t rank_inside = 0, rank_at_end = 0;
  };

  range make(std::uintptr_t address) {
    const auto first = static_cast<std::uint32_t>(numbers_.size());
    if (tables::is_pseudo(address)) {
      numbers_.push_back(number_of({tables::pseudo_name(address), {}, {}, 0, 0, 0}));
    } else {
      for (const symbols::frame& f : code_.resolve(address).frames) {
        numbers_.push_back(number_of(f));
      }
    }
    return {first, static_cast<std::uint32_t>(numbers_.size()) - first};
  }

  std::uint32_t number_of(const symbols::frame& f) {
    std::string text = clean(symbols::name_of(f, style_));
    std::replace(text.begin(), text.end(), ';', ':');
    const bool is_dropped = format::is_dropped(kind_, f.name);
    const std::uint64_t hash =
        sys::mix64(std::hash<std::string_view>{}(text) ^ (is_dropped ? 1U : 0U));
    std::uint32_t at = index_.find(hash, [&](std::uint32_t i) {
      return all_[i].text == text && all_[i].is_dropped == is_dropped;
    });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(all_.size());
      all_.push_back({std::move(text), is_dropped});
      index_.insert(hash, at);
    }
    return at;
  }

  // Two texts, one of which begins the other, are ordered by what follows the shorter one: a
  // semicolon, or nothing. Equal texts get equal ranks.
  void rank() {
    sys::vector<std::pair<std::string_view, std::uint32_t*>> order;
    std::vector<std::string> inside;
    inside.reserve(all_.size());
    for (known_name& n : all_) {
      inside.push_back(n.text + ';');
      order.emplace_back(inside.back(), &n.rank_inside);
      order.emplace_back(n.text, &n.rank_at_end);
    }
    std::sort(order.begin(), order.end());
    std::uint32_t next = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i > 0 && order[i].first != order[i - 1].first) ++next;
      *order[i].second = next;
    }
  }

  const name_style style_;
  const instruments::kind kind_;
  process_code code_;
  sys::vector<known_name> all_;
  sys::flat_index index_;  // indexes all_
  sys::vector<std::uint32_t> numbers_;
  by_address<range> at_;
};
using folded_names = basic_folded_names<>;

template <class = void>
class basic_folded_writer {
 public:
  // `value` is the index of the sample type. Throws: std::bad_alloc, and as the check.
  basic_folded_writer(const snapshots::row_source& rows, std::size_t value, name_style style,
                      sys::work_check check = {})
      : rows_(rows), check_(check), names_(rows, style, check) {
    lines_.reserve(rows.size());
    for (std::uint32_t row = 0; row < rows.size(); ++row) {
      check_.step();
      if (rows.value(row, value) != 0) lines_.push_back(begin(row, rows.value(row, value)));
    }
    sort();
  }

  // Does not finish the sink.
  std::error_code write(sink& out) {
    constexpr std::size_t spill_size = 64 * 1024;
    std::string text;
    for (line l : lines_) {
      if (l.row == merged) continue;
      l.next = begin(l.row, 0).next;
      for (;; text += ';') {
        const bool is_last = l.next == l.last;
        text += names_.text(take(l));
        if (is_last) break;
      }
      append(text, " ", l.value, "\n");
      if (text.size() < spill_size) continue;
      if (const std::error_code error = out.write(std::as_bytes(std::span(text)))) return error;
      text.clear();
    }
    return out.write(std::as_bytes(std::span(text)));
  }

 private:
  // A frame of a stack, counted from the leaf: the address, and the one of its names.
  struct frame {
    std::uint16_t address, name;
    friend bool operator==(frame, frame) = default;
  };
  struct line {
    std::int64_t value;
    std::uint32_t row;
    std::uint32_t rank;  // of the frame before `next`
    frame next;          // towards the leaf
    frame last;          // the last one shown
  };
  static constexpr std::uint32_t merged = 0xffffffff;

  std::span<const std::uint32_t> names_at(const tables::frames& s, std::size_t address) {
    return names_.at(written_address(s, address));
  }

  // At the root.
  line begin(std::uint32_t row, std::int64_t value) {
    const tables::frames s = rows_.stack(row);
    const auto address = static_cast<std::uint16_t>(written_depth(s) - 1);
    const frame root{address, static_cast<std::uint16_t>(names_at(s, address).size() - 1)};
    return {value, row, 0, root, value == 0 ? root : last_shown(s)};
  }

  // The frame around the outermost dropped one that has a frame around it, or the leaf.
  frame last_shown(const tables::frames& s) {
    frame before{};
    bool has_caller = false;
    for (std::size_t address = written_depth(s); address-- > 0;) {
      const std::span<const std::uint32_t> names = names_at(s, address);
      for (std::size_t name = names.size(); name-- > 0;) {
        if (!names_.is_dropped(names[name])) {
          has_caller = true;
        } else if (has_caller) {
          return before;
        }
        before = {static_cast<std::uint16_t>(address), static_cast<std::uint16_t>(name)};
      }
    }
    return before;
  }

  // The next frame's name. Requires: it is shown.
  std::uint32_t take(line& l) {
    const tables::frames s = rows_.stack(l.row);
    const std::uint32_t name = names_at(s, l.next.address)[l.next.name];
    if (l.next == l.last) return name;
    if (l.next.name > 0) {
      --l.next.name;
    } else {
      --l.next.address;
      l.next.name = static_cast<std::uint16_t>(names_at(s, l.next.address).size() - 1);
    }
    return name;
  }

  void sort() {
    const auto by_rank = [this](const line& a, const line& b) {
      check_.step();
      return a.rank < b.rank;
    };
    sys::vector<std::span<line>> to_sort{lines_};
    while (!to_sort.empty()) {
      const std::span<line> group = to_sort.back();
      to_sort.pop_back();
      for (line& l : group) {
        check_.step();
        const bool is_last = l.next == l.last;
        l.rank = names_.rank(take(l), is_last) << 1 | (is_last ? 1U : 0U);
      }
      if (!std::is_sorted(group.begin(), group.end(), by_rank)) {
        std::sort(group.begin(), group.end(), by_rank);
      }
      for (std::size_t first = 0; first < group.size();) {
        const std::size_t begin = first++;
        while (first < group.size() && group[first].rank == group[begin].rank) ++first;
        const std::span<line> same = group.subspan(begin, first - begin);
        if (same.size() == 1) continue;
        if (same.front().rank % 2 == 0) {
          to_sort.push_back(same);
        } else {
          merge(same);
        }
      }
    }
  }

  static void merge(std::span<line> same) {
    for (line& l : same.subspan(1)) {
      same.front().value += l.value;
      l.row = merged;
    }
  }

  const snapshots::row_source& rows_;
  sys::work_check check_;
  folded_names names_;
  sys::vector<line> lines_;
};
using folded_writer = basic_folded_writer<>;

// Does not finish the sink. Throws: std::bad_alloc, and operation_canceled if the sink is not
// wanted any more.
template <class = void>
[[nodiscard]] inline std::error_code write_folded(sink& out, const snapshots::row_source& rows,
                                                  std::size_t value,
                                                  name_style style = name_style::brief) {
  return folded_writer(rows, value, style, check_of(out)).write(out);
}

// A text of more than `most` bytes is file_too_large; the part of it that fits is written.
template <class = void>
[[nodiscard]] inline std::error_code write_folded(sink& out, const profile_snapshot& snapshot,
                                                  std::size_t value, std::size_t most,
                                                  name_style style = name_style::brief) {
  sink limited([&](std::span<const std::byte> bytes) {
    if (bytes.size() > most) return std::make_error_code(std::errc::file_too_large);
    most -= bytes.size();
    return out.write(bytes);
  });
  return write_folded(limited, snapshots::snapshot_rows(snapshot), value, style);
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_FOLDED_HPP
