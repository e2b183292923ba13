// SPDX-License-Identifier: Apache-2.0
//
// A dump of threads in the form of Go's goroutine dumps (debug=2), which is also the form of its
// crash reports:
//
//   goroutine 4711 [poll, 3 minutes, thread "worker 3"] {handler: "/search"}:
//   shop::serve(...)
//   	/src/shop.cpp:39 +0x1b
//   created by shop::start(...)
//   	/src/shop.cpp:61 +0x96
//
// The number is the thread's id. (Go: runtime/traceback.go, goroutineheader)
#ifndef WHENCE_FORMAT_THREAD_TEXT_HPP
#define WHENCE_FORMAT_THREAD_TEXT_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/format/lookup.hpp>
#include <whence/format/process_code.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/thread_snapshot.hpp>
#include <whence/symbols/function_name.hpp>
#include <whence/symbols/own_line.hpp>
#include <whence/symbols/symbolizer.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

template <class Code = process_code>
class thread_text_writer {
 public:
  explicit thread_text_writer(sink& out, Code code = {}, name_style names = name_style::brief)
      : out_(out), code_(std::move(code)), names_(names) {}

  [[nodiscard]] std::error_code write(const snapshots::thread_dump& dump) {
    return error_ = sys::catch_error([&] {
             for (const std::string& w : dump.header.warnings) append(text_, "# ", clean(w), "\n");
             for (const sys::vector<std::size_t>& circle : dump.deadlocks) {
               write_deadlock(dump, circle);
             }
             for (std::size_t i = 0; i < dump.threads.size(); ++i) {
               if (i > 0) text_ += '\n';
               write_thread(dump, i);
               spill(spill_size);
             }
             write_notes();
             spill(1);
             return error_ ? error_ : out_.finish();
           });
  }

 private:
  // What could not be read in the modules, which is known once their names are written.
  void write_notes() {
    if constexpr (requires { code_.notes(); }) {
      std::string_view before = "\n";
      for (const std::string& note : code_.notes()) {
        append(text_, before, "# ", clean(note), "\n");
        before = "";
      }
    }
  }

  // Writes each thread of the circle: where it took the lock for which the previous one waits, and
  // where it waits itself.
  void write_deadlock(const snapshots::thread_dump& dump, const sys::vector<std::size_t>& circle) {
    append(
        text_, "deadlock: ", static_cast<std::int64_t>(circle.size()),
        circle.size() == 1 ? " thread waits for itself\n\n" : " threads wait for each other\n\n");
    for (const std::size_t w : circle) {
      const snapshots::lock_wait& wait = dump.waits[w];
      append(text_, "thread ", tid_of(dump, wait.waiter), " waits for lock ", in_quotes(wait.lock),
             " held by thread ", tid_of(dump, wait.holder), ":\n");
      write_frames(dump.threads[wait.waiter].stack);
      append(text_, "\nthread ", tid_of(dump, wait.holder), " took lock ", in_quotes(wait.lock),
             ":\n");
      write_taken(wait.taken);
      text_ += '\n';
    }
  }

  // Leaves out the frames of the lock's own implementation.
  void write_taken(const profile_row& row) {
    if (row.stack.empty()) return;
    const symbols::location& at = code_.resolve(lookup_address(row, 0));
    bool begun = false;
    for (const symbols::frame& f : at.frames) {
      const bool is_lock = f.name.ends_with("lock");
      begun = begun || is_lock || !(symbols::is_own(f) || symbols::is_standard_library(f));
      if (begun || &f == &at.frames.back()) write_frame(f, at, row.stack[0]);
    }
    profile_row callers;
    callers.stack = row.stack.subspan(1);
    write_frames(callers);
  }

  static std::int64_t tid_of(const snapshots::thread_dump& dump, std::size_t thread) {
    return dump.threads[thread].tid;
  }

  void write_wait(const snapshots::thread_dump& dump, std::size_t thread) {
    for (const snapshots::lock_wait& w : dump.waits) {
      if (w.waiter != thread) continue;
      text_ += ", waiting for lock";
      if (!w.lock.empty()) append(text_, " ", in_quotes(w.lock));
      if (w.holder == snapshots::lock_wait::no_thread) return;
      append(text_, w.is_held ? " held by thread " : " last taken by thread ",
             tid_of(dump, w.holder));
      return write_place(w.taken);
    }
  }

  // Writes the first frame that belongs neither to us nor to the standard library.
  void write_place(const profile_row& row) {
    for (std::size_t i = 0; i < row.stack.size(); ++i) {
      for (const symbols::frame& f : code_.resolve(lookup_address(row, i)).frames) {
        if (symbols::is_own(f) || symbols::is_standard_library(f)) continue;
        return append(text_, " at ", clean(symbols::name_of(f, names_)), " ", clean(f.file), ":",
                      std::int64_t{f.line});
      }
    }
  }

  void write_thread(const snapshots::thread_dump& dump, std::size_t i) {
    const snapshots::thread_state& t = dump.threads[i];
    append(text_, "goroutine ", std::int64_t{t.tid}, " [", clean(t.state));
    if (t.waited_ns >= 0) append(text_, ", ", duration(t.waited_ns));
    if (t.is_coroutine) text_ += ", coroutine";
    if (!t.name.empty()) append(text_, ", thread ", in_quotes(t.name));
    write_wait(dump, i);
    text_ += ']';
    std::string_view before = " {";
    for (const instruments::label& l : t.labels) {
      append(text_, before, word(l.key), ": ", in_quotes(l.value));
      before = ", ";
    }
    append(text_, t.labels.empty() ? "" : "}", ":\n");
    write_frames(t.stack);
    if (t.stack.truncated) text_ += "...additional frames elided...\n";
    if (!t.note.empty()) append(text_, "\t", clean(t.note), "\n");
    if (!t.created_at.empty()) write_creation(t.created_at);
  }

  // Writes one frame, like Go: the first outside the standard library, if the stack has one.
  void write_creation(std::span<const std::uintptr_t> stack) {
    profile_row row;
    for (std::size_t i = 0; i < stack.size(); ++i) {
      row.stack = stack.subspan(i, 1);
      const symbols::location& at = code_.resolve(lookup_address(row, 0));
      for (const symbols::frame& f : at.frames) {
        if (symbols::is_standard_library(f)) continue;
        text_ += "created by ";
        return write_frame(f, at, stack[i]);
      }
    }
  }

  void write_frames(const profile_row& row) {
    for (std::size_t i = 0; i < row.stack.size(); ++i) {
      const std::uintptr_t pc = lookup_address(row, i);
      if (pc == tables::pseudo::created) {
        text_ += "created by ";
        continue;
      }
      if (tables::is_pseudo(pc)) {
        append(text_, tables::pseudo_name(pc), "\n");
        continue;
      }
      const symbols::location& at = code_.resolve(pc);
      for (const symbols::frame& f : at.frames) write_frame(f, at, row.stack[i]);
    }
  }

  void write_frame(const symbols::frame& f, const symbols::location& at, std::uintptr_t address) {
    // Go shows a function's arguments; we know only their types.
    const std::string name = clean(symbols::name_of(f, names_));
    const bool has_types = names_ == name_style::full && name.find(')') != std::string::npos;
    append(text_, name, has_types || symbols::is_placeholder(name) ? "\n\t" : "(...)\n\t");
    append(text_, f.file.empty() ? "?" : clean(f.file), ":", std::int64_t{f.line}, " +",
           hex{address - at.function_start}, "\n");
  }

  // Minutes as Go writes them, or seconds if Go writes nothing.
  static std::string duration(std::int64_t ns) {
    const std::int64_t tenths = ns / 100'000'000;
    if (tenths >= 600) return std::to_string(tenths / 600) + " minutes";
    if (tenths >= 100) return std::to_string(tenths / 10) + " seconds";
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " seconds";
  }

  // Go quotes a key only if it is more than a word.
  static std::string word(std::string_view text) {
    for (const char c : text) {
      const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '/' || c == '_';
      if (!plain) return in_quotes(text);
    }
    return text.empty() ? "\"\"" : std::string(text);
  }

  static constexpr std::size_t spill_size = 64 * 1024;

  void spill(std::size_t least) {
    if (text_.size() < least) return;
    if (!error_) error_ = out_.write(std::as_bytes(std::span(text_)));
    text_.clear();
  }

  sink& out_;
  Code code_;
  const name_style names_;
  std::string text_;
  std::error_code error_;
};

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_THREAD_TEXT_HPP
