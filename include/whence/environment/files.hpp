// SPDX-License-Identifier: Apache-2.0
//
// The profiles of a process as files: WHENCE_AT_EXIT names which, WHENCE_OUT where. A profile
// without anything in it leaves no file.
//
// Its functions are for one thread at a time.
#ifndef WHENCE_ENVIRONMENT_FILES_HPP
#define WHENCE_ENVIRONMENT_FILES_HPP

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/cpu.hpp>
#include <whence/environment/file_name.hpp>
#include <whence/environment/variables.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/names.hpp>
#include <whence/profile.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/new_file.hpp>
#include <whence/wall.hpp>

namespace whence::inline v1::environment {

class files {
 public:
  // Both outlive this.
  files(const settings& asked, const std::string& started) : asked_(asked), started_(started) {}

  // Begins the windows of CPU and wall-clock time, if their files are asked for.
  void open_windows() {
    if (asked_.writes(output::cpu)) begin(cpu_);
    if (asked_.writes(output::wall)) begin(wall_);
  }

  // For a child of fork: the windows, the names and the files are the parent's. Another thread may
  // have been changing them.
  void forget_parent() noexcept {
    (void)cpu_.release();
    (void)wall_.release();
    for (unsigned& sequence : sequences_) sequence = 0;
    ::new (&turns_) std::vector<std::vector<std::string>>;
  }

  bool has_windows() const noexcept { return cpu_ != nullptr || wall_ != nullptr; }

  // False if there is surely nothing to write: that is told in a few microseconds.
  bool has_anything() const noexcept {
    if (has_windows() || asked_.writes(output::thread)) return true;
    for (const profile* p : state::attached().predefined) {
      if (p != nullptr && p->rows().size.load(std::memory_order_relaxed) != 0) return true;
    }
    return false;
  }

  // Writes all that is asked for and returns the names of the files. `problems` gets a line for
  // each that could not be written. `is_last`: no window need go on.
  std::vector<std::string> write(std::vector<std::string>& problems, bool is_last) {
    std::vector<std::string> written;
    for (unsigned i = 0; i < output_count; ++i) {
      if (!asked_.writes(static_cast<output>(i))) continue;
      std::string name;
      const std::error_code error = sys::catch_error(
          [&] { return write_one(static_cast<output>(i), output_names[i], name, is_last); });
      if (error) {
        problems.push_back(std::string("whence: cannot write the profile ") + output_names[i] +
                           ", " + name + ": " + error.message() + '\n');
      } else if (!name.empty()) {
        written.push_back(std::move(name));
      }
    }
    return written;
  }

  // Remembers what one turn of the schedule wrote, and removes the files of the turn that is too
  // old. Files whose names do not differ stay.
  void rotate(std::vector<std::string> written) {
    if (!has_part(asked_.pattern, 's') || written.empty()) return;
    turns_.push_back(std::move(written));
    if (turns_.size() <= asked_.keep) return;
    for (const std::string& name : turns_.front()) ::unlink(name.c_str());
    turns_.erase(turns_.begin());
  }

 private:
  void begin(std::unique_ptr<cpu_session>& window) const {
    window = std::make_unique<cpu_session>(cpu_options{.hz = asked_.cpu_hz});
  }
  static void begin(std::unique_ptr<wall_session>& window) {
    window = std::make_unique<wall_session>();
  }

  write_options options() const noexcept {
    return {.symbols = asked_.symbols ? symbol_mode::automatic : symbol_mode::none};
  }

  // `name` gets the name of the file; it stays empty if there is nothing to write.
  std::error_code write_one(output what, std::string_view kind, std::string& name, bool is_last) {
    if (what == output::cpu) return write_window(cpu_, kind, name, is_last);
    if (what == output::wall) return write_window(wall_, kind, name, is_last);
    const profile* const p = lookup(kind);
    if (p == nullptr || (what != output::thread && p->count() == 0)) return {};
    return put(kind, name, [&](sink out) { return p->write_to(std::move(out), 0, options()); });
  }

  // Writes what the window has counted; the next one begins first, so that no time is in neither.
  template <class Session>
  std::error_code write_window(std::unique_ptr<Session>& window, std::string_view kind,
                               std::string& name, bool is_last) {
    if (window == nullptr) return {};
    std::unique_ptr<Session> next;
    if (!is_last) begin(next);
    const std::unique_ptr<Session> ended = std::exchange(window, std::move(next));
    if (ended->error()) return ended->error();
    ended->stop();
    const profile_snapshot taken = ended->snapshot();
    bool any = false;
    for (const profile_row& row : taken.rows) any = any || row.values[0] > 0;
    if (!any) return {};
    return put(kind, name, [&](sink out) { return format::write_proto(out, taken, options()); });
  }

  template <class Write>
  std::error_code put(std::string_view kind, std::string& name, Write write_to) {
    unsigned& sequence = sequences_[kind_index(kind)];
    const auto named = [&](unsigned number) {
      return expand(asked_.pattern, {.program = asked_.program,
                                     .started = started_,
                                     .kind = kind,
                                     .process = ::getpid(),
                                     .sequence = number});
    };
    name = named(++sequence);
    sys::new_file file(folder_of(name));
    const std::error_code error = write_to(sink(
        [&file](std::span<const std::byte> bytes) { return sys::errno_code(file.write(bytes)); }));
    if (error) return error;
    // The same process had another program before exec, or an earlier one had its number.
    const bool may_replace = !has_part(asked_.pattern, 's');
    int failed = 0;
    while ((failed = file.publish(name, may_replace)) == EEXIST && !may_replace &&
           sequence < most_files) {
      name = named(++sequence);
    }
    return sys::errno_code(failed);
  }

  static std::size_t kind_index(std::string_view kind) noexcept {
    std::size_t i = 0;
    while (i + 1 < output_count && kind != output_names[i]) ++i;
    return i;
  }

  static constexpr unsigned most_files = 1'000'000;

  const settings& asked_;
  const std::string& started_;
  std::unique_ptr<cpu_session> cpu_;
  std::unique_ptr<wall_session> wall_;
  unsigned sequences_[output_count]{};
  std::vector<std::vector<std::string>> turns_;  // the oldest first
};

}  // namespace whence::inline v1::environment

#endif  // WHENCE_ENVIRONMENT_FILES_HPP
