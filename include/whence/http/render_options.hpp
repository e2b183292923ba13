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
#ifndef WHENCE_HTTP_RENDER_OPTIONS_HPP
#define WHENCE_HTTP_RENDER_OPTIONS_HPP

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <whence/core/kinds.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/http/parameters.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/snapshot.hpp>

namespace whence::inline v1::http {

enum class form { pprof, text, folded, json };

// Without a text form, debug= has no effect.
enum class has_text : bool { no, yes };

struct render_options {
  form as = form::pprof;
  long debug = 0;
  std::string sample_type;                                  // empty: the default
  std::vector<std::pair<std::string, std::string>> labels;  // a sample has all of them
  format::inlined_frames inlined = format::inlined_frames::together;
  write_options written;
  bool is_signed = false;
  const char* mistake = nullptr;  // in the parameters

  render_options() = default;
  explicit render_options(const parameters& p, has_text text = has_text::yes)
      : debug(text == has_text::yes ? p.number("debug") : 0),
        sample_type(p["sample_type"]),
        inlined(p["inline"] == "expand" ? format::inlined_frames::apart
                                        : format::inlined_frames::together),
        is_signed(p["signed"] == "1") {
    const std::string_view f = p["format"];
    as = f == "folded" ? form::folded
         : f == "json" ? form::json
         : debug > 0   ? form::text
                       : form::pprof;
    if (!f.empty() && f != "folded" && f != "json" && f != "pprof") {
      mistake = "invalid value for \"format\" - must be pprof, folded or json";
    }
    choose(p["names"], written.names,
           {{"brief", name_style::brief},
            {"templates", name_style::templates},
            {"full", name_style::full},
            {"mangled", name_style::mangled}},
           "invalid value for \"names\" - must be brief, templates, full or mangled");
    choose(p["symbolize"], written.symbols,
           {{"auto", symbol_mode::automatic},
            {"deferred", symbol_mode::deferred},
            {"1", symbol_mode::all},
            {"0", symbol_mode::none}},
           "invalid value for \"symbolize\" - must be auto, deferred, 1 or 0");
    p.for_each("label", [this](std::string_view pair) {
      const std::size_t colon = pair.find(':');
      if (colon == std::string_view::npos || colon == 0) {
        mistake = "invalid value for \"label\" - must be KEY:VALUE";
        return;
      }
      labels.emplace_back(pair.substr(0, colon), pair.substr(colon + 1));
    });
  }

  // The mistake for a profile of that kind and name; nullptr if the parameters are right.
  const char* mistake_for(instruments::kind kind, std::string_view name) const {
    if (mistake != nullptr || sample_type.empty() || index_of_type(kind, name) >= 0) return mistake;
    return "invalid value for \"sample_type\" - the profile has no such type";
  }

  // The index of sample_type among the values of such a profile; -1 if it is not one of them.
  int index_of_type(instruments::kind kind, std::string_view name) const {
    const core::kind_info& info = core::info(kind);
    for (int i = 0; i < info.value_count; ++i) {
      const char* const type = info.values[i].type;
      if (sample_type == (*type == '\0' ? format::sample_type_name(name) : type)) return i;
    }
    return -1;
  }

  // True if the sample has all the labels.
  bool keeps(const profile_row& row) const {
    for (const auto& wanted : labels) {
      bool found = false;
      row.for_each_label([&](const instruments::label& l) {
        found = found || (l.key == wanted.first && l.value == wanted.second);
      });
      if (!found) return false;
    }
    return true;
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
              const char* otherwise) {
    bool is_one = given.empty();
    for (const auto& c : choices) {
      if (c.text != given) continue;
      chosen = c.value;
      is_one = true;
    }
    if (!is_one) mistake = otherwise;
  }
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_RENDER_OPTIONS_HPP
