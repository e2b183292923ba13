// SPDX-License-Identifier: Apache-2.0
//
// The parameters that say how a profile is shown, and how it is written then.
//
//   debug=N                the text of that profile if N > 0; invalid values count as 0
//   format=pprof|folded|json
//   sample_type=TYPE       for format=folded; by default the one that clients show first
//   label=KEY:VALUE        only samples with that label; if repeated, samples with all of them
//   inline=expand          each inlined frame a location of its own (speedscope shows no others)
//   names=STYLE            brief, templates, full or mangled; in every form
//   symbolize=auto         modules without symbols are marked as unresolved; deferred: their
//                          addresses get no names; 1: all modules are marked as resolved; 0:
//                          addresses alone, for clients that ask /debug/pprof/symbol. With debug=1
//                          only 0 differs from auto
//   signed=1               in a window, negative values are kept, as in Go
#ifndef WHENCE_HTTP_VIEW_HPP
#define WHENCE_HTTP_VIEW_HPP

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/format/folded.hpp>
#include <whence/format/json.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text.hpp>
#include <whence/format/top.hpp>
#include <whence/http/parameters.hpp>
#include <whence/http/request.hpp>
#include <whence/http/responses.hpp>
#include <whence/names.hpp>
#include <whence/profile.hpp>
#include <whence/snapshots/difference.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/sequence.hpp>
#include <whence/tables/label_sets.hpp>

namespace whence::inline v1::http {

class view {
 public:
  enum class form { pprof, text, folded, json };

  // `text`: true if the profile has a text form; otherwise debug= has no effect.
  enum class text : bool { none, legacy };

  explicit view(const parameters& p, text has = text::legacy)
      : debug_(has == text::legacy ? p.number("debug") : 0),
        sample_type_(p["sample_type"]),
        inlined_(p["inline"] == "expand" ? format::inlined_frames::apart
                                         : format::inlined_frames::together),
        negative_(p["signed"] == "1" ? snapshots::below_zero::is_kept
                                     : snapshots::below_zero::is_zero) {
    const std::string_view f = p["format"];
    form_ = f == "folded" ? form::folded
            : f == "json" ? form::json
            : debug_ > 0  ? form::text
                          : form::pprof;
    if (!f.empty() && f != "folded" && f != "json" && f != "pprof") {
      mistake_ = "invalid value for \"format\" - must be pprof, folded or json";
    }
    choose(p["names"], options_.names,
           {{"brief", name_style::brief},
            {"templates", name_style::templates},
            {"full", name_style::full},
            {"mangled", name_style::mangled}},
           "invalid value for \"names\" - must be brief, templates, full or mangled");
    choose(p["symbolize"], options_.symbols,
           {{"auto", symbol_mode::automatic},
            {"deferred", symbol_mode::deferred},
            {"1", symbol_mode::all},
            {"0", symbol_mode::none}},
           "invalid value for \"symbolize\" - must be auto, deferred, 1 or 0");
    p.for_each("label", [this](std::string_view pair) {
      const std::size_t colon = pair.find(':');
      if (colon == std::string_view::npos || colon == 0) {
        mistake_ = "invalid value for \"label\" - must be KEY:VALUE";
        return;
      }
      labels_.emplace_back(pair.substr(0, colon), pair.substr(colon + 1));
    });
  }

  // The mistake in the parameters for a profile of that kind and name; nullptr if they are right.
  const char* mistake(instruments::kind kind, std::string_view name) const {
    if (mistake_ != nullptr || sample_type_.empty() || place_of_type(kind, name) >= 0)
      return mistake_;
    return "invalid value for \"sample_type\" - the profile has no such type";
  }

  long debug() const noexcept { return debug_; }
  bool has_labels() const noexcept { return !labels_.empty(); }
  snapshots::below_zero negative() const noexcept { return negative_; }

  // The head of the answer; `name` is the file's.
  response_head head(std::string_view name) const {
    switch (form_) {
      case form::folded:
      case form::text:
        return head_of_type(plain_text);
      case form::json:
        return head_of_type("application/json");
      case form::pprof:
        break;
    }
    return head_of_attachment(name);
  }

  // Throws: std::bad_alloc.
  std::error_code write(sink& out, profile_snapshot snapshot) const {
    if (has_labels()) {
      sys::erase_if(snapshot.rows, [this](const profile_row& row) { return !matches(row); });
    }
    if (form_ == form::pprof) return format::write_proto(out, snapshot, options_, inlined_);
    return write_rows(out, snapshots::snapshot_rows(snapshot, values_of(snapshot.header.kind)));
  }

  // What the profile says now, without a copy of the rows if possible. Throws: std::bad_alloc.
  std::error_code write(sink& out, const profile& p) const {
    const bool is_plain = labels_.empty() && inlined_ == format::inlined_frames::together;
    if (form_ == form::pprof && is_plain) return p.write_to(std::move(out), 0, options_);
    const bool is_dump = core::info(p.kind()).is_dump;
    if (form_ == form::text && debug_ > 1 && is_dump) {
      return p.write_to(std::move(out), 2, options_);
    }
    const state::process_state* const s = state::state();
    if (form_ == form::pprof || is_dump || s == nullptr) {
      return write(out, p.snapshot());
    }
    const auto keep = [this](const profile_row& row) { return matches(row); };
    return write_rows(out, snapshots::live_rows(*s, p, values_of(p.kind()), keep));
  }

 private:
  template <class Value>
  struct choice {
    std::string_view text;
    Value value;
  };

  // An empty text leaves the value as it is.
  template <class Value>
  void choose(std::string_view given, Value& chosen,
              std::initializer_list<choice<std::type_identity_t<Value>>> choices,
              const char* mistake) {
    bool is_one = given.empty();
    for (const auto& c : choices) {
      if (c.text != given) continue;
      chosen = c.value;
      is_one = true;
    }
    if (!is_one) mistake_ = mistake;
  }

  bool matches(const profile_row& row) const {
    for (const auto& wanted : labels_) {
      bool found = false;
      row.for_each_label([&](const instruments::label& l) {
        found = found || (l.key == wanted.first && l.value == wanted.second);
      });
      if (!found) return false;
    }
    return true;
  }

  snapshots::shown_values values_of(instruments::kind k) const {
    return form_ == form::text ? snapshots::values_in_text(k) : snapshots::shown_values::scaled;
  }

  // Writes every form but pprof.
  std::error_code write_rows(sink& out, const snapshots::row_source& rows) const {
    if (form_ == form::text) return format::write_text(out, rows, options_);
    if (form_ == form::json) return format::json_writer(options_.names).write(out, rows);
    const instruments::kind kind = rows.header().kind;
    const int asked = sample_type_.empty() ? -1 : place_of_type(kind, rows.header().name);
    const std::size_t shown = format::shown_value(core::info(kind));
    return format::write_folded(out, rows, asked < 0 ? shown : static_cast<std::size_t>(asked),
                                options_.names);
  }

  // The index of sample_type_ among the values; -1 if it is not one of them.
  int place_of_type(instruments::kind kind, std::string_view name) const {
    const core::kind_info& info = core::info(kind);
    for (int i = 0; i < info.value_count; ++i) {
      const char* const type = info.values[i].type;
      if (sample_type_ == (*type == '\0' ? format::sample_type_name(name) : type)) return i;
    }
    return -1;
  }

  long debug_;
  std::string sample_type_;
  format::inlined_frames inlined_;
  write_options options_;
  snapshots::below_zero negative_;
  form form_ = form::pprof;
  std::vector<std::pair<std::string, std::string>> labels_;
  const char* mistake_ = nullptr;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_VIEW_HPP
