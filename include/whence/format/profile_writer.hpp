// SPDX-License-Identifier: Apache-2.0
//
// Writes a profile.proto in one pass. Fields of a protobuf may come in any order, so
//
//   each row, as it comes    Sample, its addresses numbered on first sight
//   then                     Function and Location of each address; Mapping; the scalars; strings
//
// Memory grows with the distinct addresses, not with the rows: the compressor gets some 64 KiB at a
// time. Each demand of a profile's readers is explained where the code meets it.
#ifndef WHENCE_FORMAT_PROFILE_WRITER_HPP
#define WHENCE_FORMAT_PROFILE_WRITER_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/core/kinds.hpp>
#include <whence/format/address_index.hpp>
#include <whence/format/drop_frames.hpp>
#include <whence/format/gzip.hpp>
#include <whence/format/lookup.hpp>
#include <whence/format/mapping_flags.hpp>
#include <whence/format/mapping_table.hpp>
#include <whence/format/process_code.hpp>
#include <whence/format/profile_proto.hpp>
#include <whence/format/protobuf.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/string_table.hpp>
#include <whence/format/wanted.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/vector.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

// A sample type that every backend accepts.
template <class = void>
inline std::string sample_type_name(std::string_view profile_name) {
  const auto kept = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '/';
  };
  std::string result(profile_name.empty() ? "_" : profile_name);
  for (char& c : result) {
    if (!kept(c)) c = '_';
  }
  return result;
}

// pprof shortens a name that equals its system_name and looks like C++: f<int>(int) loses all
// brackets. A blank makes the two different.
template <class = void>
inline bool is_shortened(const symbols::frame& f) {
  return (f.system_name == f.name || f.system_name.empty()) && !f.name.starts_with('[') &&
         (f.name.find_first_of("<>()[]") != std::string_view::npos ||
          f.name.find("::") != std::string_view::npos);
}

enum class inlined_frames : unsigned char {
  together,  // one location for each address, with all inlined frames
  apart,     // one location for each frame, for viewers that show one line a location
};

// Gzip: zlib_gzip or stored. Code: as process_code. Throws: std::bad_alloc from the constructor.
template <class Gzip = default_gzip, class Code = process_code>
class basic_profile_writer {
 public:
  basic_profile_writer(sink& out, profile_header header, Code code = {}, write_options options = {},
                       inlined_frames inlined = inlined_frames::together)
      : header_(std::move(header)),
        options_(options),
        inlined_(inlined),
        kind_(core::info(header_.kind)),
        code_(std::move(code)),
        check_(check_of(out)),
        output_(out) {
    // Names are looked up after the samples are written, unless each frame has a location of its
    // own.
    if constexpr (requires { code_.close(); }) {
      if (inlined == inlined_frames::together) code_.close();
    }
  }

  // Rows without a value are left out. After a failure nothing is written.
  void add(const profile_row& row) {
    if (error_) return;
    error_ = sys::catch_error([&] {
      check_.step();
      write_sample(row);
      spill(spill_size);
      return error_;
    });
  }

  // The first failure; no error if the sink is finished. Requires: called once.
  [[nodiscard]] std::error_code finish() {
    if (error_) return error_;
    return error_ = sys::catch_error([&] {
             if constexpr (requires { code_.open(); }) code_.open();
             look_up_in_order();
             std::vector<std::uintptr_t> places = addresses_.addresses();
             for (std::uintptr_t& place : places) place = place_of(code_, place);
             const mapping_table mappings(code_.mappings(), places);
             const mapping_flags known = find_known(mappings, places);
             write_locations(mappings, known, places);
             write_mappings(mappings, known);
             write_header();
             for (const std::string_view text : strings_.texts()) {
               encoder_.string(proto::profile::string_table, text);
               spill(spill_size);
             }
             spill(1);
             return error_ ? error_ : output_.finish();
           });
  }

 private:
  static constexpr std::size_t spill_size = 64 * 1024;

  void spill(std::size_t least) {
    if (encoder_.bytes().size() < least) return;
    if (!error_) error_ = output_.write(encoder_.bytes());
    encoder_.clear();
  }

  void write_sample(const profile_row& row) {
    const std::span values(row.values.data(), static_cast<std::size_t>(kind_.value_count));
    if (sys::all_of(values, [](std::int64_t v) { return v == 0; })) return;
    ids_.clear();
    for (std::size_t i = 0; i < row.stack.size(); ++i) {
      add_location(lookup_address(row, i));
    }
    if (row.truncated) add_location(tables::pseudo::truncated);
    // A sample without a location is dropped by some readers and refused by others.
    if (ids_.empty()) add_location(tables::pseudo::unknown);

    const bool numbered = row.number != 0 && kind_.number.type != nullptr;
    if (numbered && number_key_ == 0) {
      number_key_ = strings_.id(kind_.number.type);
      number_unit_ = strings_.id(kind_.number.unit);
    }
    encoder_.message(proto::profile::sample, [&] {
      encoder_.packed(proto::sample::location_id, ids_);
      encoder_.packed(proto::sample::value, values);
      row.for_each_label([&](const instruments::label& l) {
        const std::int64_t key = strings_.id(l.key);
        const std::int64_t value = strings_.id(l.value);
        encoder_.message(proto::sample::label, [&] {
          encoder_.int64(proto::label::key, key);
          encoder_.int64(proto::label::str, value);
        });
      });
      if (numbered) {
        encoder_.message(proto::sample::label, [&] {
          encoder_.int64(proto::label::key, number_key_);
          encoder_.int64(proto::label::num, row.number);
          encoder_.int64(proto::label::num_unit, number_unit_);
        });
      }
    });
  }

  // Adds it to the current sample.
  void add_location(std::uintptr_t address) {
    const std::uint32_t id = addresses_.id(address);
    if (inlined_ != inlined_frames::apart) return ids_.push_back(id);
    if (id > first_ids_.size()) {
      first_ids_.push_back(next_id_);
      next_id_ += static_cast<std::uint32_t>(sys::most<std::size_t>(frames_of(address).size(), 1));
    }
    const std::uint32_t first = first_ids_[id - 1];
    const std::uint32_t end = id < first_ids_.size() ? first_ids_[id] : next_id_;
    for (std::uint32_t i = first; i < end; ++i) ids_.push_back(i);
  }

  // Looks up in ascending order, so that each module is read once.
  void look_up_in_order() {
    if (options_.symbols == symbol_mode::none) return;
    std::vector<std::uintptr_t> sorted = addresses_.addresses();
    sys::sort(sorted, [](std::uintptr_t a, std::uintptr_t b) { return a < b; });
    for (const std::uintptr_t a : sorted) {
      check_.ask();
      (void)frames_of(a);
    }
  }

  // Valid until the next call.
  std::span<const symbols::frame> frames_of(std::uintptr_t address) {
    if (options_.symbols == symbol_mode::none) return {};
    if (!tables::is_pseudo(address)) return code_.resolve(address).frames;
    pseudo_ = {tables::pseudo_name(address), {}, {}, 0, 0, 0};
    return {&pseudo_, 1};
  }

  bool is_stripped(std::uintptr_t address) {
    return options_.symbols != symbol_mode::none && !tables::is_pseudo(address) &&
           code_.resolve(address).is_stripped;
  }

  mapping_flags find_known(const mapping_table& mappings, std::span<const std::uintptr_t> places) {
    mapping_flags known(mappings.mappings(), options_.symbols);
    for (std::size_t n = 0; n < places.size(); ++n) {
      const std::uintptr_t address = addresses_.addresses()[n];
      known.add(mappings.id(places[n]), frames_of(address), is_stripped(address));
    }
    return known;
  }

  void write_locations(const mapping_table& mappings, const mapping_flags& known,
                       std::span<const std::uintptr_t> places) {
    std::uint64_t id = 0;
    for (std::size_t n = 0; n < places.size(); ++n) {
      const std::uint64_t mapping = mappings.id(places[n]);
      const std::span<const symbols::frame> frames = frames_of(addresses_.addresses()[n]);
      const auto write = [&](std::span<const symbols::frame> shown) {
        write_location(
            ++id, mapping, places[n],
            known.is_deferred(mapping, frames) ? std::span<const symbols::frame>{} : shown);
      };
      if (inlined_ == inlined_frames::together) {
        write(frames);
        continue;
      }
      // The count is that of the samples: a module that was loaded since may have changed it.
      const std::uint32_t end = n + 1 < first_ids_.size() ? first_ids_[n + 1] : next_id_;
      const std::uint32_t count = end - first_ids_[n];
      for (std::size_t i = 0; i < count; ++i) {
        write(frames.subspan(sys::least(i, frames.size()), i < frames.size() ? 1 : 0));
      }
    }
  }

  void write_location(std::uint64_t id, std::uint64_t mapping, std::uintptr_t address,
                      std::span<const symbols::frame> frames) {
    lines_.clear();
    for (const symbols::frame& f : frames) lines_.push_back({function_id(f), f.line, f.column});
    encoder_.message(proto::profile::location, [&] {
      encoder_.uint64(proto::location::id, id);
      encoder_.uint64(proto::location::mapping_id, mapping);
      encoder_.uint64(proto::location::address, address);
      for (const line& l : lines_) {
        encoder_.message(proto::location::line, [&] {
          encoder_.uint64(proto::line::function_id, l.function_id);
          encoder_.int64(proto::line::line, l.number);
          encoder_.int64(proto::line::column, l.column);
        });
      }
    });
    spill(spill_size);
  }

  // Writes the function if it is new; so ids follow the order of the file.
  std::uint64_t function_id(const symbols::frame& f) {
    const std::string_view name =
        f.name.empty() ? tables::pseudo_name(tables::pseudo::unknown) : f.name;
    const std::int64_t system = is_shortened(f)
                                    ? strings_.id_of_copy(std::string(name) + ' ')
                                    : strings_.id(f.system_name.empty() ? name : f.system_name);
    const std::int64_t file = strings_.id(f.file);
    const auto key = static_cast<std::uint64_t>(system) << 32 | static_cast<std::uint64_t>(file);
    const std::uint64_t hash = sys::mix64(key);
    const std::uint32_t found =
        by_key_.find(hash, [&](std::uint32_t i) { return functions_[i] == key; });
    if (found != sys::flat_index::none) return found + std::uint64_t{1};
    by_key_.insert(hash, static_cast<std::uint32_t>(functions_.size()));
    functions_.push_back(key);
    const std::uint64_t id = functions_.size();
    const std::int64_t shown = options_.names == name_style::brief
                                   ? strings_.id(name)
                                   : strings_.id_of_copy(symbols::name_of(f, options_.names));
    encoder_.message(proto::profile::function, [&] {
      encoder_.uint64(proto::function::id, id);
      encoder_.int64(proto::function::name, shown);
      encoder_.int64(proto::function::system_name, system);
      encoder_.int64(proto::function::filename, file);
      encoder_.int64(proto::function::start_line, f.start_line);
    });
    return id;
  }

  void write_mappings(const mapping_table& mappings, const mapping_flags& known) {
    std::uint64_t id = 0;
    for (const symbols::mapping& m : mappings.mappings()) {
      const std::int64_t file = strings_.id_of_copy(m.filename.empty() ? "[anon]" : m.filename);
      const std::int64_t build_id = strings_.id_of_copy(m.build_id);
      encoder_.message(proto::profile::mapping, [&] {
        encoder_.uint64(proto::mapping::id, ++id);
        encoder_.uint64(proto::mapping::memory_start, m.start);
        encoder_.uint64(proto::mapping::memory_limit, m.limit);
        encoder_.uint64(proto::mapping::file_offset, m.offset);
        encoder_.int64(proto::mapping::filename, file);
        encoder_.int64(proto::mapping::build_id, build_id);
        const mapping_flags::parts has = known.of(id);
        encoder_.boolean(proto::mapping::has_functions, has.functions);
        encoder_.boolean(proto::mapping::has_filenames, has.files);
        encoder_.boolean(proto::mapping::has_line_numbers, has.lines);
        encoder_.boolean(proto::mapping::has_inline_frames, has.inlined);
      });
    }
  }

  void write_header() {
    const std::string own_type = sample_type_name(header_.name);
    const auto text = [&](const char* type) {
      return strings_.id_of_copy(*type == '\0' ? own_type : std::string(type));
    };
    const auto write_type = [&](int tag, const core::value_type& t) {
      const std::int64_t type = text(t.type);
      const std::int64_t unit = strings_.id(t.unit);
      encoder_.message(tag, [&] {
        encoder_.int64(proto::value_type::type, type);
        encoder_.int64(proto::value_type::unit, unit);
      });
    };
    for (int i = 0; i < kind_.value_count; ++i) {
      write_type(proto::profile::sample_type, kind_.values[i]);
    }
    write_type(proto::profile::period_type, kind_.period_type);
    encoder_.int64(proto::profile::period, header_.period);
    encoder_.int64(proto::profile::drop_frames, strings_.id_of_copy(drop_frames(header_.kind)));
    encoder_.int64(proto::profile::time_nanos, header_.time_ns);
    encoder_.int64(proto::profile::duration_nanos, sys::most<std::int64_t>(header_.duration_ns, 0));
    sys::vector<std::int64_t> comments;
    for (const std::string& c : header_.comments) comments.push_back(strings_.id(c));
    for (const std::string& c : header_.warnings) comments.push_back(strings_.id(c));
    if constexpr (requires { code_.notes(); }) {
      for (const std::string& c : code_.notes()) comments.push_back(strings_.id_of_copy(c));
    }
    encoder_.packed(proto::profile::comment, comments);
    encoder_.int64(proto::profile::default_sample_type, strings_.id(kind_.default_sample_type));
  }

  struct line {
    std::uint64_t function_id;
    std::uint32_t number, column;
  };

  const profile_header header_;  // strings_ points into it
  const write_options options_;
  const inlined_frames inlined_;
  const core::kind_info& kind_;
  Code code_;
  sys::work_check check_;
  Gzip output_;
  protobuf encoder_;
  address_index addresses_;
  string_table strings_;
  sys::vector<std::uint64_t> functions_;  // system_name << 32 | file
  sys::flat_index by_key_;                // indexes functions_
  sys::vector<std::uint32_t> ids_;        // the current row's
  sys::vector<std::uint32_t> first_ids_;  // each address's first location, if apart
  std::uint32_t next_id_ = 1;
  symbols::frame pseudo_;
  sys::vector<line> lines_;      // the current location's
  std::int64_t number_key_ = 0;  // the numeric label's texts
  std::int64_t number_unit_ = 0;
  std::error_code error_;
};

using profile_writer = basic_profile_writer<>;

// Writes a whole snapshot and finishes the sink. Throws: std::bad_alloc.
template <class = void>
[[nodiscard]] inline std::error_code write_proto(
    sink& out, const profile_snapshot& snapshot, write_options options = {},
    inlined_frames inlined = inlined_frames::together) {
  const process_code code;
  // Otherwise the writer does it, after all rows.
  if (inlined == inlined_frames::apart && options.symbols != symbol_mode::none) {
    look_up_in_order(code, snapshot);
  }
  profile_writer writer(out, snapshot.header, code, options, inlined);
  for (const profile_row& row : snapshot.rows) writer.add(row);
  return writer.finish();
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_PROFILE_WRITER_HPP
