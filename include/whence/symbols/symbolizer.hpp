// SPDX-License-Identifier: Apache-2.0
//
// Turns an address into functions, files and lines: names from ELF symbols, lines and inlined
// frames from debug information. Answers are kept for later profiles, and references to them stay
// valid while a `use` lives: if they take more than its limit when the last one ends, all are
// forgotten. The files and tables behind them are released when the last `reading` ends.
//
// A temporary failure (no descriptor, no memory) is not an answer: the address is looked up again
// in a later reading, at least a second later, and one that was not asked for before at once. So is
// generated code, which changes. Each answer keeps the reason for what it lacks, so that notes()
// says it in each reading that has the answer, and in no other.
//
// An unloaded module's names stay known as long. Stacks have keys instead of addresses for plugins
// (unwind/modules/unloadable_modules.hpp), and a key never belongs to another plugin. Every frame
// has a name: without a symbol it is [module+0xoffset].
//
// Thread-safe. For readers: it allocates, locks and opens files, so never in a signal handler. No
// lock that fork or the loader waits for is held while a file is read.
#ifndef WHENCE_SYMBOLS_SYMBOLIZER_HPP
#define WHENCE_SYMBOLS_SYMBOLIZER_HPP

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/names.hpp>
#include <whence/symbols/descriptor.hpp>
#include <whence/symbols/function_name.hpp>
#include <whence/symbols/lines.hpp>
#include <whence/symbols/mappings.hpp>
#include <whence/symbols/module_list.hpp>
#include <whence/symbols/module_reader.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/symbols/open_modules.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/digits.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/sys/stable_list.hpp>
#include <whence/sys/syscall_filter.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

// The texts live as long as the answer.
struct frame {
  std::string_view name;         // short
  std::string_view system_name;  // name_of makes the other styles from it; function_name.hpp
  std::string_view file;         // empty if unknown
  std::uint32_t line = 0;        // 0 if unknown
  std::uint32_t column = 0;
  std::uint32_t start_line = 0;  // the function's

  friend bool operator==(const frame&, const frame&) = default;
};

// Its name in another style.
template <class = void>
inline std::string name_of(const frame& f, name_style style) {
  const bool is_kept = style == name_style::brief || f.system_name.empty();
  return is_kept ? std::string(f.name) : name_of(f.system_name, style);
}

struct location {
  std::span<const frame> frames;      // innermost inlined frame first; never empty
  std::uintptr_t function_start = 0;  // the start of the non-inlined function; 0 if unknown
  bool is_stripped = false;           // its module has no names but those it exports
};

template <class = void>
class basic_symbolizer {
 public:
  basic_symbolizer() = default;
  basic_symbolizer(const basic_symbolizer&) = delete;
  basic_symbolizer& operator=(const basic_symbolizer&) = delete;

  // The one that all writers share. A forked child makes a new one, since its parent's may be
  // locked.
  static basic_symbolizer& instance() {
    static constinit std::atomic<basic_symbolizer*> shared{nullptr};
    static constinit std::atomic<basic_symbolizer*> of_parent{nullptr};  // or it were leaked
    static constinit std::atomic<bool> forgotten_at_fork{false};
    if (basic_symbolizer* const known = shared.load(std::memory_order_acquire)) return *known;
    if (!forgotten_at_fork.exchange(true, std::memory_order_relaxed)) {
      ::pthread_atfork(nullptr, nullptr, [] {
        if (basic_symbolizer* const old = shared.exchange(nullptr, std::memory_order_relaxed)) {
          of_parent.store(old, std::memory_order_relaxed);
        }
        all_open.close_all();
      });
    }
    // It is never freed, so that its answers stay valid.
    return *sys::publish_once(
        shared, [] { return new basic_symbolizer; }, [](basic_symbolizer* late) { delete late; });
  }

  // Files and tables stay open while one lives: a caller that looks up several addresses holds one.
  // The end of the last one releases everything.
  class reading {
   public:
    explicit reading(basic_symbolizer& of) : of_(&of), process_(::getpid()) {
      sys::look_for_filter();
      const std::lock_guard hold(of.mutex_);
      of.begin_reading();
    }
    reading(const reading& other) : reading(*other.of_) {}
    reading& operator=(const reading&) = delete;
    ~reading() {
      // An object in a child of fork is the parent's.
      if (::getpid() != process_) return;
      const std::lock_guard hold(of_->mutex_);
      of_->end_reading();
    }

   private:
    basic_symbolizer* of_;
    pid_t process_;
  };

  // Answers are valid as long as one lives; without any, until the next one ends. `most`:
  // how many bytes of answers may be kept afterwards.
  class use {
   public:
    use(basic_symbolizer& of, std::size_t most) : of_(&of), most_(most), process_(::getpid()) {
      const std::lock_guard hold(of.mutex_);
      ++of.uses_;
    }
    use(const use& other) : use(*other.of_, other.most_) {}
    use& operator=(const use&) = delete;
    ~use() {
      if (::getpid() != process_) return;
      const std::lock_guard hold(of_->mutex_);
      if (--of_->uses_ == 0 && of_->answer_bytes_ > most_) of_->forget_answers();
    }

   private:
    basic_symbolizer* of_;
    std::size_t most_;
    pid_t process_;
  };

  // About how many bytes all answers take.
  std::size_t answer_bytes() {
    const std::lock_guard hold(mutex_);
    return answer_bytes_;
  }

  // Registers a module that may be unloaded already, so that its stacks have names.
  void remember(const unwind::unloadable_record& record) {
    const std::lock_guard hold(mutex_);
    modules_.remember(record);
  }

  // `pc` is the address of an instruction: a return address minus 1. A plugin's is its key.
  const location& resolve(std::uintptr_t pc) {
    const std::lock_guard hold(mutex_);
    const in_reading open(*this);
    refresh();
    known& k = known_of(pc);
    if (k.where != nullptr && k.generation == generation_ && !k.may_change) {
      say_why(k);
      return *k.where;
    }
    const module_list::pointer* const at = modules_.find(pc);
    module_list::pointer module = at != nullptr ? *at : nullptr;
    // A module that is gone keeps its known names until another one takes its place.
    const bool moved = k.where == nullptr || (module != nullptr && module != k.module);
    if (moved || (k.may_change && k.answered_in != reading_number_ && may_ask(module.get()))) {
      look_up(pc, module.get(), k);
      k.module = std::move(module);
    }
    k.answered_in = reading_number_;
    k.generation = generation_;  // set last: a look-up that throws does not count
    say_why(k);
    return *k.where;
  }

  // The function that holds `pc`, not one inlined into it: the linker's name if that is mangled,
  // otherwise a short one; empty if it is unknown. Not kept: a client may ask for any address.
  std::string function_at(std::uintptr_t pc) {
    const std::lock_guard hold(mutex_);
    const in_reading open(*this);
    refresh();
    const module_list::pointer* const at = modules_.find(pc);
    if (at == nullptr) {
      std::string name = mapped_name(pc);
      return is_placeholder(name) ? std::string{} : name;
    }
    known_module& module = **at;
    module_reader& reader = open_.reader(module, loaded_now(module));
    std::string name = reader.find(pc).name;
    if (name.empty()) {
      sys::vector<source_line> lines = reader.lines(pc);
      if (!lines.empty()) name = std::move(lines.back().function);
    }
    module.asked_in = reading_number_;
    module.facts = reader.facts();
    return name.starts_with("_Z") ? name : name_of(system_name_of(name), name_style::brief);
  }

  // The present address of the code that stacks have at `address`: it differs for a loaded plugin.
  std::uintptr_t place_of(std::uintptr_t address) {
    if (!unwind::unloadable_modules::is_plugin_key(address)) return address;
    const std::lock_guard hold(mutex_);
    const module_list::pointer* const m = modules_.find(address);
    const bool loaded = m != nullptr && modules_.loaded_as((*m)->it) != nullptr;
    return loaded ? address - (*m)->it.away : address;
  }

  // The code that is mapped, the program's first; read once for all readings.
  sys::vector<mapping> mappings() {
    const std::lock_guard hold(mutex_);
    const in_reading open(*this);
    refresh();
    sys::vector<loaded_module> modules;
    for (const module_list::pointer& m : modules_.loaded()) modules.push_back(m->it);
    return listed_mappings(open_.code(), modules);
  }

  // What the answers of this reading lack: a line for each reason.
  std::vector<std::string> notes() {
    const std::lock_guard hold(mutex_);
    struct note {
      std::string reason, paths;
      std::size_t modules;
    };
    sys::vector<note> notes;
    modules_.for_each([&](const known_module& m) {
      if (m.used_in != reading_number_) return;
      for (const std::string& reason : m.reasons) {
        std::size_t i = 0;
        while (i < notes.size() && notes[i].reason != reason) ++i;
        if (i == notes.size()) notes.push_back({reason, {}, 0});
        if (++notes[i].modules > most_named) continue;
        notes[i].paths += (notes[i].paths.empty() ? "" : ", ") + m.it.path;
      }
    });
    std::vector<std::string> lines;
    const auto system_failed = [&lines](const char* at, int error) {
      if (error == 0) return;
      lines.push_back(at + (" could not be read: " + std::generic_category().message(error)));
    };
    system_failed("the list of mapped code (/proc/thread-self/maps)", open_.code_error());
    system_failed("names of generated code", open_.generated_error());
    for (const note& n : notes) {
      const std::size_t more = n.modules > most_named ? n.modules - most_named : 0;
      const std::string rest = more == 0 ? "" : " and " + std::to_string(more) + " more";
      lines.push_back(n.paths + rest + ": " + n.reason);
    }
    return lines;
  }

 private:
  static constexpr std::size_t most_named = 4;
  static constexpr std::size_t most_reasons = 8;  // of a module
  static constexpr std::int64_t retry_ns = 1'000'000'000;

  struct known {
    const location* where = nullptr;
    std::shared_ptr<known_module> module;
    module_generation generation;
    std::uint64_t answered_in = 0;  // the last reading
    std::string_view reason;        // for people: what it lacks; empty if it is whole
    bool may_change = false;        // a later reading may find more
  };

  // A reading for one call, if none is open. Requires: mutex_ is held as long as it lives.
  class in_reading {
   public:
    explicit in_reading(basic_symbolizer& of) : of_(of) { of.begin_reading(); }
    ~in_reading() { of_.end_reading(); }
    in_reading(const in_reading&) = delete;
    in_reading& operator=(const in_reading&) = delete;

   private:
    basic_symbolizer& of_;
  };

  void begin_reading() noexcept {
    if (readings_++ == 0) ++reading_number_;
  }
  void end_reading() {
    if (--readings_ == 0) open_.close();
  }

  known& known_of(std::uintptr_t pc) {
    const std::uint64_t hash = sys::mix64(pc);
    std::uint32_t at = by_pc_.find(hash, [](std::uint32_t) { return true; });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(known_.size());
      known_.emplace_back();
      answer_bytes_ += sizeof(known) + index_bytes;
      by_pc_.insert(hash, at);
    }
    return known_[at];
  }

  // Registers modules that were loaded or unloaded.
  void refresh() {
    const module_generation now = current_generation();
    const bool again = !files_known_ && refreshed_in_ != reading_number_;
    if (now == generation_ && !modules_.loaded().empty() && !again) return;
    open_.modules_changed();
    sys::vector<loaded_module> found = loaded_modules();
    identify_files(found, open_.code());
    modules_.refresh(std::move(found));
    // Set last: what throws does not count.
    files_known_ = open_.code_error() == 0;
    refreshed_in_ = reading_number_;
    generation_ = now;
  }

  // Keeps the reason for what an answer lacks for the notes of this reading.
  void say_why(const known& k) {
    if (k.reason.empty() || k.module == nullptr) return;
    known_module& m = *k.module;
    if (m.used_in != reading_number_) m.reasons.clear();
    m.used_in = reading_number_;
    for (std::string& said : m.reasons) {
      if (said.find(k.reason) != std::string::npos) return;
      // A reader adds to its reason while it reads.
      if (k.reason.find(said) != std::string_view::npos) {
        said = k.reason;
        return;
      }
    }
    if (m.reasons.size() < most_reasons) m.reasons.emplace_back(k.reason);
  }

  // False if a read failed a moment ago, which would fail again.
  bool may_ask(const known_module* m) const {
    return m == nullptr || !m->facts.may_change || m->asked_in == reading_number_ ||
           sys::monotonic_ns() - m->read_at_ns >= retry_ns;
  }

  // Puts the answer for `pc` into `to`, in a new place only if it differs.
  void look_up(std::uintptr_t pc, known_module* module, known& to) {
    sys::vector<frame> frames;
    symbol_table::symbol symbol;
    bool may_change = true;
    std::string_view reason;
    if (module != nullptr) {
      module_reader& reader = open_.reader(*module, loaded_now(*module));
      symbol = reader.find(pc);
      for (const source_line& l : reader.lines(pc)) {
        frames.push_back(
            with_place(make_frame(l.function, l.file, l.line), l.column, l.start_line));
      }
      module->asked_in = reading_number_;
      module->facts = reader.facts();
      // Without the kernel's list a file may be taken for another build's.
      may_change = module->facts.may_change || !files_known_;
      reason = intern(module->facts.reason);
    }
    if (frames.empty()) frames.push_back(make_frame("", "", 0));
    // The outermost frame is the function itself, and its linker's name is more reliable.
    frame& function = frames.back();
    if (!symbol.name.empty()) {
      function = with_place(make_frame(symbol.name, function.file, function.line), function.column,
                            function.start_line);
    } else if (module == nullptr) {
      function = mapped_frame(pc);
    } else if (function.name.empty()) {
      function = with_place(make_frame(offset_name(module->it.path, pc - module->it.bias),
                                       function.file, function.line),
                            function.column, function.start_line);
    }
    for (frame& f : frames) {
      if (f.name.empty()) f.name = f.system_name = intern("[unknown]");
    }
    const std::uintptr_t start = symbol.name.empty() ? 0 : symbol.start;
    const bool stripped = module != nullptr && module->facts.exported_only;
    const location* const where = to.where;
    const bool same = where != nullptr && where->function_start == start &&
                      where->is_stripped == stripped && where->frames.size() == frames.size() &&
                      sys::all_of(frames, [&, i = std::size_t{0}](const frame& f) mutable {
                        return f == where->frames[i++];
                      });
    if (!same) {
      answer_bytes_ += sizeof(location) + frames.size() * sizeof(frame) + 2 * node_bytes;
      to.where = &locations_.add({frames_.add(std::move(frames)), start, stripped});
    }
    to.may_change = may_change;
    to.reason = reason;
  }

  // nullptr if it is not loaded now.
  const loaded_module* loaded_now(const known_module& m) const {
    const known_module* const now = modules_.loaded_as(m.it);
    return now != nullptr ? &now->it : nullptr;
  }

  static frame with_place(frame f, std::uint32_t column, std::uint32_t start_line) {
    f.column = column;
    f.start_line = start_line;
    return f;
  }

  frame make_frame(std::string_view known_as, std::string_view file, std::uint32_t line) {
    const std::string system_name = system_name_of(known_as);
    return {intern(name_of(system_name, name_style::brief)), intern(system_name), intern(file),
            line};
  }

  static std::string offset_name(std::string_view path, std::uint64_t offset) {
    return "[" + std::string(path.substr(path.rfind('/') + 1)) + "+0x" + sys::to_hex(offset) + "]";
  }

  // Names by run-time compilers are shown unchanged: "Script:~ /srv/app.js:12".
  frame mapped_frame(std::uintptr_t pc) {
    const std::string name = mapped_name(pc);
    if (is_placeholder(name) || name.starts_with("_Z")) return make_frame(name, {}, 0);
    return {intern(name), {}, {}, 0, 0, 0};
  }

  // A name for code that the loader does not know: a file that the program mapped itself, generated
  // code, or an unmapped address.
  std::string mapped_name(std::uintptr_t pc) {
    const mapping* const m = find_mapping(open_.code(), pc);
    if (m == nullptr) return "[unknown]";
    const std::string_view file = m->filename;
    const bool may_be_generated = file.empty() || file.starts_with("[anon") ||
                                  file.starts_with("/memfd:") || file.starts_with("/dev/zero");
    if (may_be_generated) {
      std::string name = open_.generated_code().find(pc);
      if (!name.empty()) return name;
    }
    return file.empty() ? "[unknown]" : offset_name(file, pc - m->start + m->offset);
  }

  std::string_view intern(std::string_view text) {
    if (text.empty()) return {};
    const std::uint64_t hash = sys::mix64(std::hash<std::string_view>{}(text));
    std::uint32_t at = by_text_.find(hash, [&](std::uint32_t i) { return texts_[i] == text; });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(texts_.size());
      texts_.push_back(copies_.add(std::string(text)));
      answer_bytes_ += text.size() + sizeof(std::string) + sizeof(std::string_view) + node_bytes;
      by_text_.insert(hash, at);
    }
    return texts_[at];
  }

  void forget_answers() noexcept {
    known_ = {};
    texts_ = {};
    by_pc_.clear();
    by_text_.clear();
    locations_.clear();
    frames_.clear();
    copies_.clear();
    answer_bytes_ = 0;
  }

  static constexpr std::size_t index_bytes = 48;  // of an entry, or less
  static constexpr std::size_t node_bytes = 32;   // of an allocation and its link, about

  std::mutex mutex_;
  int uses_ = 0;
  std::size_t answer_bytes_ = 0;
  module_generation generation_;
  bool files_known_ = true;         // the kernel's list could be read at the last refresh,
  std::uint64_t refreshed_in_ = 0;  // in that reading
  module_list modules_;
  open_modules open_;
  int readings_ = 0;
  std::uint64_t reading_number_ = 0;
  sys::vector<known> known_;
  sys::flat_index by_pc_;
  sys::stable_list<std::string> copies_;
  sys::vector<std::string_view> texts_;  // texts of copies_
  sys::flat_index by_text_;
  sys::stable_list<sys::vector<frame>> frames_;
  sys::stable_list<location> locations_;
};
using symbolizer = basic_symbolizer<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_SYMBOLIZER_HPP
