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
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/format/frames.hpp>
#include <whence/format/lookup.hpp>
#include <whence/format/process_code.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/tabwriter.hpp>
#include <whence/format/template_names.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/names.hpp>
#include <whence/profile/kinds.hpp>
#include <whence/profile/pseudo_frames.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/max_rss.hpp>
#include <whence/sys/sequence.hpp>

namespace whence::inline v1::format {

template <class Code = process_code>
class text_writer {
 public:
  explicit text_writer(sink& out, Code code = {}, write_options options = {})
      : out_(out), code_(std::move(code)), options_(options) {}

  [[nodiscard]] std::error_code write(const profile_snapshot& snapshot) {
    kind_ = snapshot.header.kind;
    return error_ = sys::as_error([&] {
             if (options_.symbols != symbol_mode::none) look_up_in_order(code_, snapshot);
             switch (snapshot.header.kind) {
               case core::kind::allocs:
               case core::kind::heap:
                 write_heap(snapshot);
                 break;
               case core::kind::block:
                 write_waits(snapshot, "contention");
                 break;
               case core::kind::mutex:
                 write_waits(snapshot, "mutex");
                 break;
               default:
                 write_counts(snapshot);
                 break;
             }
             table_.flush();
             spill(1);
             return error_ ? error_ : out_.finish();
           });
  }

 private:
  void write_heap(const profile_snapshot& snapshot) {
    // Recorded values are {objects, bytes}, first allocated, then in use.
    std::array<std::int64_t, core::max_values> total{};
    for (const profile_row& row : snapshot.rows) {
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += row.raw[i];
    }
    // If both byte counts are equal, pprof takes the profile for one of memory in use alone.
    if (total[1] == total[3]) ++total[1];
    put("heap profile: ", total[2], ": ", total[3], " [", total[0], ": ", total[1], "] @ heap/",
        2 * snapshot.header.period, "\n");
    for (const profile_row* row : sorted(snapshot, [](const profile_row& r) { return r.raw[3]; })) {
      put(row->raw[2], ": ", row->raw[3], " [", row->raw[0], ": ", row->raw[1], "] ",
          addresses(*row), "\n", labels(*row));
      write_frames(*row);
    }
    put("\n# MaxRSS = ", sys::max_rss_bytes(), "\n");
    for (const std::string& comment : snapshot.header.comments) put("# ", clean(comment), "\n");
    put_notes();
  }

  // Nanoseconds stand for cycles.
  void write_waits(const profile_snapshot& snapshot, std::string_view title) {
    put("--- ", title, ":\ncycles/second=1000000000\n");
    // The values are already scaled, and pprof multiplies by this period.
    if (snapshot.header.kind == core::kind::mutex) put("sampling period=1\n");
    for (const profile_row* row :
         sorted(snapshot, [](const profile_row& r) { return r.values[1]; })) {
      put(row->values[1], " ", row->values[0], " ", addresses(*row), "\n", labels(*row));
      write_frames(*row);
    }
  }

  void write_counts(const profile_snapshot& snapshot) {
    struct group {
      std::string stack;
      const profile_row* row;
      std::int64_t count;
    };
    // pprof takes only one value here: the time.
    const auto shown = static_cast<std::size_t>(core::info(kind_).value_count) - 1;
    std::vector<group> groups;
    std::int64_t total = 0;
    for (const profile_row& row : snapshot.rows) {
      groups.push_back({addresses(row) + "\n" + labels(row), &row, row.values[shown]});
      total += row.values[shown];
    }
    sys::sort(groups, [](const group& a, const group& b) { return a.stack < b.stack; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (kept > 0 && groups[kept - 1].stack == groups[i].stack) {
        groups[kept - 1].count += groups[i].count;
      } else {
        if (kept != i) groups[kept] = std::move(groups[i]);
        ++kept;
      }
    }
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(kept), groups.end());
    sys::sort(groups, [](const group& a, const group& b) { return a.count > b.count; });
    put(clean(snapshot.header.name), " profile: total ", total, "\n");
    for (const group& g : groups) {
      put(g.count, " ", g.stack);
      write_frames(*g.row);
    }
    for (const std::string& w : snapshot.header.warnings) put("# ", clean(w), "\n");
    put_notes();
  }

  // Sorts the largest first.
  template <class F>
  static std::vector<const profile_row*> sorted(const profile_snapshot& snapshot, F&& value) {
    std::vector<const profile_row*> rows;
    for (const profile_row& row : snapshot.rows) rows.push_back(&row);
    sys::sort(rows,
              [&](const profile_row* a, const profile_row* b) { return value(*a) > value(*b); });
    return rows;
  }

  // Like in the protobuf, each stack has a frame: pprof refuses a line without one.
  std::string addresses(const profile_row& row) {
    std::string text = "@";
    for (const std::uintptr_t a : row.stack)
      append(text, " ", hex{core::is_pseudo(a) ? core::pseudo_frame_of(a) : place_of(code_, a)});
    if (row.truncated) append(text, " ", hex{core::truncated_frame});
    if (row.stack.empty() && !row.truncated) append(text, " ", hex{core::unknown_frame});
    return text;
  }

  // pprof reads it as a comment. (Go: runtime/pprof/pprof.go, printCountProfile)
  std::string labels(const profile_row& row) const {
    std::string text;
    const auto add = [&text](std::string_view key, std::string_view value) {
      append(text, text.empty() ? "# labels: {" : ", ", in_quotes(key), ":", in_quotes(value));
    };
    row.for_each_label([&](const stack::label& l) { add(l.key, l.value); });
    if (kind_ == core::kind::mutex && row.number != 0) {
      const core::value_type& number = core::info(kind_).number;
      add(number.type, std::to_string(row.number) + " " + number.unit);
    }
    return text.empty() ? text : text + "}\n";
  }

  void write_frames(const profile_row& row) {
    for (std::size_t i = 0; i < row.stack.size(); ++i) write_frame(lookup_address(row, i));
    if (row.truncated) write_frame(core::truncated_frame);
    if (row.stack.empty() && !row.truncated) write_frame(core::unknown_frame);
    put("\n");
    spill(spill_size);
  }

  void write_frame(std::uintptr_t pc) {
    if (core::is_pseudo(pc)) {
      put("#\t", hex{pc}, "\t", core::pseudo_name(pc), "+0x0\t:0\n");
      return;
    }
    const std::uintptr_t place = place_of(code_, pc);
    if (options_.symbols == symbol_mode::none) return put("#\t", hex{place}, "\n");
    const symbols::location& location = code_.resolve(pc);
    for (const symbols::frame& f : location.frames) {
      if (location.function_start == 0 || f.name.empty()) {
        put("#\t", hex{place}, "\n");
      } else {
        const std::string_view longer =
            options_.names == name_style::brief ? template_names_.of(f) : std::string_view();
        put("#\t", hex{place}, "\t", clean(symbols::name_of(f, options_.names)), "+",
            hex{pc - location.function_start}, "\t", clean(f.file), ":", std::int64_t{f.line},
            longer.empty() ? "" : "\t", clean(longer), "\n");
      }
    }
  }

  // Writes what could not be read in the modules.
  void put_notes() {
    if constexpr (requires { code_.notes(); }) {
      for (const std::string& note : code_.notes()) put("# ", clean(note), "\n");
    }
  }

  template <class... Parts>
  void put(const Parts&... parts) {
    line_.clear();
    append(line_, parts...);
    table_.write(line_);
  }

  static constexpr std::size_t spill_size = 64 * 1024;

  void spill(std::size_t least) {
    if (text_.size() < least) return;
    if (!error_) error_ = out_.write(std::as_bytes(std::span(text_)));
    text_.clear();
  }

  sink& out_;
  Code code_;
  const write_options options_;
  core::kind kind_ = core::kind::custom;
  std::string line_;
  std::string text_;
  tabwriter table_{text_};
  template_names template_names_;
  std::error_code error_;
};

// Writes a whole snapshot and finishes the sink.
template <class = void>
[[nodiscard]] inline std::error_code write_text(sink& out, const profile_snapshot& snapshot,
                                                write_options options = {}) {
  return text_writer<>(out, {}, options).write(snapshot);
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_TEXT_HPP
