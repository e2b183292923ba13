// SPDX-License-Identifier: Apache-2.0
//
// A profile as JSON, for scripts and for the page in the browser:
//
//   {"profile": "heap",
//    "sample_types": [{"type": "inuse_space", "unit": "bytes"}, ...], "shown": 3,
//    "period_type": {...}, "period": 524288, "time": 1763960000.123, "duration": 0,     (seconds)
//    "comments": [...], "drop_frames": "...", "hide_frames": "...",
//    "samples": [{"stack": [2, 1, 0], "values": [1, 2, 3, 4], "labels": {"key": "value"}}, ...],
//    "frames": [{"name": "f", "full": "f(int)", "file": "/src/f.cpp", "line": 3, "inlined": true},
//               ...]}
//
// full is left out if it equals name.
// stack has indexes into `frames`, leaf first; an inlined frame is followed by the one it was
// inlined into. shown is the sample type that clients show first. Samples without labels have no
// "labels". drop_frames and hide_frames are regular expressions, if the profile has frames to drop
// (the first is anchored by ^( and )$): stacks are complete, and readers leave the frames out
// (drop_frames.hpp).
#ifndef WHENCE_FORMAT_JSON_HPP
#define WHENCE_FORMAT_JSON_HPP

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
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/format/top.hpp>
#include <whence/format/utf8.hpp>
#include <whence/format/wanted.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/symbols/symbolizer.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

// The text in quotes. `<` is escaped, so that a page may hold it in a script element.
template <class = void>
inline std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : to_utf8(text)) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<') {
      append(result, "\\u00", static_cast<unsigned char>(c) < 0x10 ? "0" : "",
             sys::to_hex(static_cast<unsigned char>(c)));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

template <class = void>
class basic_json_writer {
 public:
  explicit basic_json_writer(name_style names = name_style::brief) : names_(names) {}

  // Does not finish the sink. Throws: std::bad_alloc.
  [[nodiscard]] std::error_code write(sink& out, const snapshots::row_source& rows) {
    constexpr std::size_t spill_size = 64 * 1024;
    const core::kind_info& kind = core::info(rows.header().kind);
    by_address<std::string> addresses(
        rows, [this](std::uintptr_t a) { return make(a); }, check_of(out));
    const std::vector<std::string> notes = code_.notes();
    code_.close();
    std::string text;
    const auto spill = [&]() -> std::error_code {
      const std::error_code error = out.write(std::as_bytes(std::span(text)));
      text.clear();
      return error;
    };
    append_header(text, rows.header(), kind, notes);
    text += ",\"samples\":[";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      text += i == 0 ? "\n{\"stack\":[" : ",\n{\"stack\":[";
      const tables::frames s = rows.stack(i);
      for (std::size_t f = 0; f < written_depth(s); ++f) {
        text += f == 0 ? "" : ",";
        text += addresses[written_address(s, f)];
      }
      append_values(text, rows, i, static_cast<std::size_t>(kind.value_count));
      if (text.size() < spill_size) continue;
      if (const std::error_code error = spill()) return error;
    }
    text += "],\"frames\":[";
    if (const std::error_code error = spill()) return error;
    if (const std::error_code error = out.write(std::as_bytes(std::span(frames_)))) return error;
    constexpr std::string_view end = "]}\n";
    return out.write(std::as_bytes(std::span(end)));
  }
  [[nodiscard]] std::error_code write(sink& out, const profile_snapshot& snapshot) {
    return write(out, snapshots::snapshot_rows(snapshot));
  }

 private:
  struct known_frame {
    symbols::frame it;
    bool inlined;
  };

  // Not by printf, which takes the decimal sign of the program's locale.
  static std::string seconds(std::int64_t ns) {
    const std::int64_t ms = (ns < 0 ? -ns : ns) / 1'000'000;
    const std::string rest = std::to_string(1000 + ms % 1000);
    return (ns < 0 ? "-" : "") + std::to_string(ms / 1000) + "." + rest.substr(1);
  }

  static void append_type(std::string& text, const core::value_type& t, const profile_header& h) {
    append(text, "{\"type\":", json_string(*t.type == '\0' ? sample_type_name(h.name) : t.type),
           ",\"unit\":", json_string(t.unit), "}");
  }

  static void append_header(std::string& text, const profile_header& header,
                            const core::kind_info& kind, const std::vector<std::string>& notes) {
    append(text, "{\"profile\":", json_string(header.name), ",\"sample_types\":[");
    for (int i = 0; i < kind.value_count; ++i) {
      text += i == 0 ? "" : ",";
      append_type(text, kind.values[i], header);
    }
    append(text, "],\"shown\":", static_cast<std::int64_t>(shown_value(kind)), ",\"period_type\":");
    append_type(text, kind.period_type, header);
    append(text, ",\"period\":", header.period, ",\"time\":", seconds(header.time_ns),
           ",\"duration\":", seconds(header.duration_ns), ",\"comments\":[");
    std::string_view comma;
    for (const auto* const lines : {&header.comments, &header.warnings, &notes}) {
      for (const std::string& line : *lines) {
        append(text, std::exchange(comma, ","), json_string(line));
      }
    }
    text += "]";
    if (dropped_in(header.kind).empty()) return;
    append(text, ",\"drop_frames\":", json_string(drop_frames(header.kind)),
           ",\"hide_frames\":", json_string(hide_frames));
  }

  static void append_values(std::string& text, const snapshots::row_source& rows, std::size_t row,
                            std::size_t count) {
    text += "],\"values\":[";
    for (std::size_t i = 0; i < count; ++i) {
      append(text, i == 0 ? "" : ",", rows.value(row, i));
    }
    std::string_view comma = "],\"labels\":{";
    rows.row(row).for_each_label([&](const instruments::label& l) {
      append(text, std::exchange(comma, ","), json_string(l.key), ":", json_string(l.value));
    });
    text += comma == "," ? "}}" : "]}";
  }

  // The indexes of an address's frames, with commas between them.
  std::string make(std::uintptr_t address) {
    if (tables::is_pseudo(address)) {
      return std::to_string(place_of({{tables::pseudo_name(address), {}, {}, 0, 0, 0}, false}));
    }
    std::string text;
    const std::span<const symbols::frame> frames = code_.resolve(address).frames;
    for (const symbols::frame& f : frames) {
      append(text, text.empty() ? "" : ",",
             static_cast<std::int64_t>(place_of({f, &f != &frames.back()})));
    }
    return text;
  }

  // Frames are equal if their texts have equal addresses, since symbols keep each text once.
  std::size_t place_of(known_frame f) {
    const auto same = [&f](const known_frame& other) {
      return f.it.name == other.it.name && f.it.system_name == other.it.system_name &&
             f.it.file == other.it.file && f.it.line == other.it.line && f.inlined == other.inlined;
    };
    const std::uint64_t hash = sys::mix64(std::hash<std::string_view>{}(f.it.name) ^ f.it.line * 2 ^
                                          (f.inlined ? 1U : 0U));
    std::uint32_t at = index_.find(hash, [&](std::uint32_t i) { return same(known_[i]); });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(known_.size());
      index_.insert(hash, at);
      known_.push_back(f);
      const std::string name = symbols::name_of(f.it, names_);
      const std::string full = symbols::name_of(f.it, name_style::full);
      append(frames_, at == 0 ? "\n" : ",\n", "{\"name\":", json_string(name));
      if (full != name) append(frames_, ",\"full\":", json_string(full));
      append(frames_, ",\"file\":", json_string(f.it.file),
             ",\"line\":", static_cast<std::int64_t>(f.it.line),
             f.inlined ? ",\"inlined\":true}" : "}");
    }
    return at;
  }

  const name_style names_;
  process_code code_;
  sys::vector<known_frame> known_;
  sys::flat_index index_;  // indexes known_
  std::string frames_;     // as JSON
};
using json_writer = basic_json_writer<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_JSON_HPP
