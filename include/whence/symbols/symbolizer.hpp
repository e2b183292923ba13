// SPDX-License-Identifier: Apache-2.0
//
// From an address to functions, files and lines: names from ELF symbols, lines and inlined frames
// from debug information. Each address is looked up once; what was found is kept for the life of
// the process, and references to it stay good.
//
// What was known of a module stays known when it is unloaded, until another one takes its place: an
// address there is then looked up anew for those who ask from then on. Nothing is without a name:
// what has no symbol is [module+0xoffset].
//
// Thread-safe. For readers: it allocates, locks and opens files, so never in a signal handler.
#ifndef WHENCE_SYMBOLS_SYMBOLIZER_HPP
#define WHENCE_SYMBOLS_SYMBOLIZER_HPP

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <whence/names.hpp>
#include <whence/symbols/function_name.hpp>
#include <whence/symbols/lines.hpp>
#include <whence/symbols/mappings.hpp>
#include <whence/symbols/module_symbols.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/sys/digits.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/kept.hpp>
#include <whence/sys/spread.hpp>

namespace whence::inline v1::symbols {

// The texts live as long as the process.
struct frame {
  std::string_view name;         // short
  std::string_view system_name;  // what name_of makes the other styles of; function_name.hpp
  std::string_view file;         // empty: not known
  std::uint32_t line = 0;        // 0: not known
};

// Its name in another style.
inline std::string name_of(const frame& f, name_style style) {
  const bool is_kept = style == name_style::brief || f.system_name.empty();
  return is_kept ? std::string(f.name) : name_of(f.system_name, style);
}

struct location {
  std::span<const frame> frames;      // innermost inlined frame first; never empty
  std::uintptr_t function_start = 0;  // of the function that is no inlined one; 0: not known
};

class symbolizer {
 public:
  symbolizer() = default;
  symbolizer(const symbolizer&) = delete;
  symbolizer& operator=(const symbolizer&) = delete;

  // The one that writers share. A forked child starts afresh: its parent's may be locked for good.
  static symbolizer& instance() {
    static constinit std::atomic<symbolizer*> shared{nullptr};
    static constinit std::atomic<bool> forgotten_at_fork{false};
    symbolizer* known = shared.load(std::memory_order_acquire);
    if (known != nullptr) return *known;
    if (!forgotten_at_fork.exchange(true, std::memory_order_relaxed)) {
      ::pthread_atfork(nullptr, nullptr, [] { shared.store(nullptr, std::memory_order_relaxed); });
    }
    auto* const fresh = new symbolizer;  // never freed: what it gives out is never invalid
    if (shared.compare_exchange_strong(known, fresh, std::memory_order_acq_rel)) return *fresh;
    delete fresh;
    return *known;
  }

  // Takes note of a module that may be gone already, so that its stacks have names.
  void remember(loaded_module m) {
    const std::lock_guard hold(mutex_);
    refresh();
    // The loader may know it by another path.
    const auto same = [&m](const std::shared_ptr<loaded>& l) {
      return l->symbols.module().bias == m.bias && l->symbols.module().build_id == m.build_id;
    };
    for (const auto* all : {&modules_, &gone_}) {
      for (const std::shared_ptr<loaded>& l : *all) {
        if (same(l)) return;
      }
    }
    gone_.push_back(std::make_shared<loaded>(std::move(m)));
  }

  // `pc` is the address of an instruction: of a return address, less 1.
  const location& resolve(std::uintptr_t pc) {
    const std::lock_guard hold(mutex_);
    refresh();
    known& k = known_of(pc);
    if (k.where != nullptr && k.generation == generation_) return *k.where;
    k.generation = generation_;
    std::shared_ptr<loaded> module = module_of(pc);
    // What was known of a module that is gone stays known until another takes its place.
    if (k.where == nullptr || (module != nullptr && module != k.module)) {
      k.where = look_up(pc, module.get());
      k.module = std::move(module);
    }
    return *k.where;
  }

 private:
  struct loaded {
    explicit loaded(loaded_module m) : symbols(std::move(m)) {}
    module_symbols symbols;
  };
  struct known {
    const location* where = nullptr;
    std::shared_ptr<loaded> module;
    module_generation generation;
  };

  known& known_of(std::uintptr_t pc) {
    const std::uint64_t hash = sys::spread(pc);
    std::uint32_t at = by_pc_.find(hash, [](std::uint32_t) { return true; });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(known_.size());
      known_.emplace_back();
      by_pc_.insert(hash, at);
    }
    return known_[at];
  }

  // Takes note of modules that came or went.
  void refresh() {
    const module_generation now = current_generation();
    if (now == generation_ && !modules_.empty()) return;
    generation_ = now;
    std::vector<std::shared_ptr<loaded>> before = std::move(modules_);
    // Last gone, first asked.
    for (std::shared_ptr<loaded>& g : gone_) before.push_back(std::move(g));
    modules_.clear();
    gone_.clear();
    std::vector<loaded_module> found = loaded_modules();
    complete_paths(found);
    for (loaded_module& m : found) {
      std::shared_ptr<loaded> same;
      for (std::shared_ptr<loaded>& old : before) {
        if (old != nullptr && old->symbols.module() == m) same = std::exchange(old, nullptr);
      }
      modules_.push_back(same != nullptr ? same : std::make_shared<loaded>(std::move(m)));
    }
    for (std::shared_ptr<loaded>& old : before) {
      if (old != nullptr) gone_.push_back(std::move(old));
    }
  }

  std::shared_ptr<loaded> module_of(std::uintptr_t pc) const {
    for (const auto* all : {&modules_, &gone_}) {
      for (const std::shared_ptr<loaded>& m : *all) {
        if (m->symbols.module().holds(pc)) return m;
      }
    }
    return nullptr;
  }

  const location* look_up(std::uintptr_t pc, loaded* module) {
    std::vector<frame> frames;
    const symbol_table::symbol symbol =
        module != nullptr ? module->symbols.find(pc) : symbol_table::symbol{};
    if (module != nullptr) {
      for (const source_line& l : module->symbols.lines_at(pc)) {
        frames.push_back(make_frame(l.function, l.file, l.line));
      }
    }
    if (frames.empty()) frames.push_back(make_frame("", "", 0));
    // The outermost frame is the function itself, and the linker's name for it is the surer one.
    frame& function = frames.back();
    if (!symbol.name.empty()) {
      function = make_frame(symbol.name, function.file, function.line);
    } else if (function.name.empty()) {
      function = make_frame(module != nullptr ? offset_name(module->symbols.module().path,
                                                            pc - module->symbols.module().bias)
                                              : mapped_name(pc),
                            function.file, function.line);
    }
    for (frame& f : frames) {
      if (f.name.empty()) f.name = f.system_name = intern("[unknown]");
    }
    return &locations_.add(
        {frames_.add(std::move(frames)), symbol.name.empty() ? 0 : symbol.start});
  }

  frame make_frame(std::string_view known_as, std::string_view file, std::uint32_t line) {
    const std::string system_name = system_name_of(known_as);
    return {intern(name_of(system_name, name_style::brief)), intern(system_name), intern(file),
            line};
  }

  static std::string offset_name(std::string_view path, std::uint64_t offset) {
    return "[" + std::string(path.substr(path.rfind('/') + 1)) + "+0x" + sys::to_hex(offset) + "]";
  }

  // Of code that the loader knows nothing of: a file the program mapped itself, or none at all.
  static std::string mapped_name(std::uintptr_t pc) {
    for (const mapping& m : read_mappings()) {
      if (pc >= m.start && pc < m.limit) return offset_name(m.filename, pc - m.start + m.offset);
    }
    return "[unknown]";
  }

  std::string_view intern(std::string_view text) {
    if (text.empty()) return {};
    const std::uint64_t hash = sys::spread(std::hash<std::string_view>{}(text));
    std::uint32_t at = by_text_.find(hash, [&](std::uint32_t i) { return texts_[i] == text; });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(texts_.size());
      texts_.push_back(copies_.add(std::string(text)));
      by_text_.insert(hash, at);
    }
    return texts_[at];
  }

  std::mutex mutex_;
  module_generation generation_;
  std::vector<std::shared_ptr<loaded>> modules_;
  std::vector<std::shared_ptr<loaded>> gone_;  // one for each place and build
  std::vector<known> known_;
  sys::flat_index by_pc_;
  sys::kept<std::string> copies_;
  std::vector<std::string_view> texts_;  // of copies_
  sys::flat_index by_text_;
  sys::kept<std::vector<frame>> frames_;
  sys::kept<location> locations_;
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_SYMBOLIZER_HPP
