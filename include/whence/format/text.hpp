// SPDX-License-Identifier: Apache-2.0
//
// Go's text format (debug=1), which pprof reads too:
//
//   heap profile: 39: 18232 [56: 1068520] @ heap/1048576
//   3: 12288 [3: 12288] @ 0x6a7167 0x6a7a6a              in use: bytes [allocated: bytes]
//   #	0x6a7166	allocate_live+0x46	/src/main.cpp:22
//   #	0x6a7240	prices+0x20	/src/main.cpp:40	prices<int>
//
// After @ come return addresses; the # lines show the address that pprof will look up, one byte
// before. The numbers are the recorded ones: pprof scales them by the rate at the end of the first
// line, which is doubled because early C++ heap profilers did so. (Go: runtime/pprof/pprof.go)
#ifndef WHENCE_FORMAT_TEXT_HPP
#define WHENCE_FORMAT_TEXT_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/core/kinds.hpp>
#include <whence/format/by_address.hpp>
#include <whence/format/lookup.hpp>
#include <whence/format/process_code.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/stack_groups.hpp>
#include <whence/format/tabwriter.hpp>
#include <whence/format/template_names.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/format/wanted.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/sys/vector.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

template <class Code = process_code>
class text_writer {
 public:
  explicit text_writer(sink& out, Code code = {}, write_options options = {})
      : out_(out), code_(std::move(code)), options_(options), check_(check_of(out)) {}

  [[nodiscard]] std::error_code write(const profile_snapshot& snapshot) {
    return write(
        snapshots::snapshot_rows(snapshot, snapshots::values_in_text(snapshot.header.kind)));
  }

  // Requires: the values are those of snapshots::values_in_text.
  [[nodiscard]] std::error_code write(const snapshots::row_source& rows) {
    kind_ = &core::info(rows.header().kind);
    return error_ = sys::catch_error([&] {
             by_address<known> addresses(
                 rows, [this](std::uintptr_t a) { return make(a); }, check_);
             addresses_ = &addresses;
             take_notes();
             switch (kind_->text) {
               case core::text_form::heap:
                 write_heap(rows);
                 break;
               case core::text_form::contention:
                 write_waits(rows, "contention");
                 break;
               case core::text_form::mutex:
                 write_waits(rows, "mutex");
                 break;
               case core::text_form::counts:
                 write_counts(rows);
                 break;
             }
             (void)spill(1);
             return error_ ? error_ : out_.finish();
           });
  }

 private:
  using row_order = sys::vector<std::uint32_t>;

  // What is written for a frame.
  struct known {
    std::string address;  // " 0x6a7167", to which it returns
    sys::vector<tabbed_line> lines;
  };

  void write_heap(const snapshots::row_source& rows) {
    // Recorded values are {objects, bytes}, first allocated, then in use.
    std::array<std::int64_t, core::max_values> total{};
    for (std::size_t row = 0; row < rows.size(); ++row) {
      check_.step();
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += rows.value(row, i);
    }
    // If both byte counts are equal, pprof takes the profile for one of memory in use alone.
    if (total[1] == total[3]) ++total[1];
    put("heap profile: ", total[2], ": ", total[3], " [", total[0], ": ", total[1], "] @ heap/",
        2 * rows.header().period, "\n");
    for (const std::uint32_t row : largest_first(rows, 3)) {
      put(rows.value(row, 2), ": ", rows.value(row, 3), " [", rows.value(row, 0), ": ",
          rows.value(row, 1), "] ");
      put_stack(rows, row);
      if (!spill(spill_size)) return;
    }
    put("\n# MaxRSS = ", sys::max_rss_bytes(), "\n");
    for (const std::string& comment : rows.header().comments) put("# ", clean(comment), "\n");
    put_notes();
  }

  // Nanoseconds stand for cycles.
  void write_waits(const snapshots::row_source& rows, std::string_view title) {
    put("--- ", title, ":\ncycles/second=1000000000\n");
    // The values are already scaled, and pprof multiplies by this period.
    if (kind_->text == core::text_form::mutex) put("sampling period=1\n");
    for (const std::uint32_t row : largest_first(rows, 1)) {
      put(rows.value(row, 1), " ", rows.value(row, 0), " ");
      put_stack(rows, row);
      if (!spill(spill_size)) return;
    }
    put_notes();
  }

  void write_counts(const snapshots::row_source& rows) {
    // pprof takes only one value here: the time.
    const auto shown = static_cast<std::size_t>(kind_->value_count) - 1;
    stack_groups groups(rows, shown, check_);
    groups.sort_by_sum();
    std::int64_t total = 0;
    for (const auto& g : groups) total += g.sum();
    put(clean(rows.header().name), " profile: total ", total, "\n");
    for (const auto& g : groups) {
      put(g.sum(), " ");
      put_stack(rows, g.row);
      if (!spill(spill_size)) return;
    }
    for (const std::string& w : rows.header().warnings) put("# ", clean(w), "\n");
    put_notes();
  }

  // Equal ones keep their order.
  row_order largest_first(const snapshots::row_source& rows, std::size_t value) {
    row_order all(rows.size());
    for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    sys::sort(all, [&](std::uint32_t a, std::uint32_t b) {
      check_.step();
      return rows.value(a, value) > rows.value(b, value);
    });
    return all;
  }

  // Return addresses, labels and frames.
  void put_stack(const snapshots::row_source& rows, std::uint32_t row) {
    const tables::frames s = rows.stack(row);
    const std::size_t depth = written_depth(s);
    text_ += '@';
    for (std::size_t i = 0; i < depth; ++i) put_place(s, i);
    text_ += '\n';
    put_labels(rows.row(row));
    for (std::size_t i = 0; i < depth; ++i) {
      for (const tabbed_line& line : (*addresses_)[written_address(s, i)].lines) table_.write(line);
    }
    table_.flush();
    text_ += '\n';
  }

  void put_place(const tables::frames& s, std::size_t i) {
    const std::uintptr_t lookup = written_address(s, i);
    const bool is_code = i < s.depth && !tables::is_pseudo(s.pcs[i]);
    if (is_code && (tables::is_pseudo(lookup) || (i == 0 && s.leaf_is_ip))) {
      return put(" ", hex{place_of(code_, s.pcs[i])});  // not the byte after it
    }
    text_ += (*addresses_)[lookup].address;
  }

  // pprof reads it as a comment. (Go: runtime/pprof/pprof.go, printCountProfile)
  void put_labels(const profile_row& row) {
    std::string_view before = "# labels: {";
    const auto add = [&](std::string_view key, std::string_view value) {
      put(std::exchange(before, ", "), in_quotes(key), ":", in_quotes(value));
    };
    row.for_each_label([&](const instruments::label& l) { add(l.key, l.value); });
    if (kind_->text == core::text_form::mutex && row.number != 0) {
      add(kind_->number.type, std::to_string(row.number) + " " + kind_->number.unit);
    }
    if (before == ", ") text_ += "}\n";
  }

  known make(std::uintptr_t pc) {
    known made;
    std::string line;
    const auto add = [&](const auto&... parts) {
      line.clear();
      append(line, parts...);
      made.lines.emplace_back(line);
    };
    if (tables::is_pseudo(pc)) {
      append(made.address, " ", hex{pc});
      add("#\t", hex{pc}, "\t", tables::pseudo_name(pc), "+0x0\t:0");
      return made;
    }
    const std::uintptr_t place = place_of(code_, pc);
    append(made.address, " ", hex{place_of(code_, pc + 1)});
    if (options_.symbols == symbol_mode::none) {
      add("#\t", hex{place});
      return made;
    }
    const symbols::location& location = code_.resolve(pc);
    for (const symbols::frame& f : location.frames) {
      if (location.function_start == 0 || f.name.empty()) {
        add("#\t", hex{place});
      } else {
        const std::string_view longer =
            options_.names == name_style::brief ? template_names_.of(f) : std::string_view();
        add("#\t", hex{place}, "\t", clean(symbols::name_of(f, options_.names)), "+",
            hex{pc - location.function_start}, "\t", clean(f.file), ":", std::int64_t{f.line},
            longer.empty() ? "" : "\t", clean(longer));
      }
    }
    return made;
  }

  // Keeps what could not be read in the modules, which nothing needs any more.
  void take_notes() {
    if constexpr (requires { code_.notes(); }) notes_ = code_.notes();
    if constexpr (requires { code_.close(); }) code_.close();
  }

  void put_notes() {
    for (const std::string& note : notes_) put("# ", clean(note), "\n");
  }

  template <class... Parts>
  void put(const Parts&... parts) {
    append(text_, parts...);
  }

  static constexpr std::size_t spill_size = 64 * 1024;

  // False after a failure: the rest need not be made.
  bool spill(std::size_t least) {
    if (text_.size() < least) return true;
    if (!error_) error_ = out_.write(std::as_bytes(std::span(text_)));
    text_.clear();
    return !error_;
  }

  sink& out_;
  Code code_;
  const write_options options_;
  sys::work_check check_;
  const core::kind_info* kind_ = nullptr;
  by_address<known>* addresses_ = nullptr;
  std::string text_;
  tabwriter table_{text_};
  template_names template_names_;
  std::vector<std::string> notes_;
  std::error_code error_;
};

// Writes all rows and finishes the sink.
template <class = void>
[[nodiscard]] inline std::error_code write_text(sink& out, const snapshots::row_source& rows,
                                                write_options options = {}) {
  return text_writer<>(out, {}, options).write(rows);
}
template <class = void>
[[nodiscard]] inline std::error_code write_text(sink& out, const profile_snapshot& snapshot,
                                                write_options options = {}) {
  return text_writer<>(out, {}, options).write(snapshot);
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_TEXT_HPP
