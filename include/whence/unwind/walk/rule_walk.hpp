// SPDX-License-Identifier: Apache-2.0
//
// The walk by rules. Invariant: the frame in hand is code, and its rule is known; a step climbs by
// the rule and looks the next one up, and takes the new frame in hand only if it is code.
//
// The common step is a rule lookup and two loads, in registers; all else happens in step_slowly().
// Signal-safe. Never allocates.
#ifndef WHENCE_UNWIND_WALK_RULE_WALK_HPP
#define WHENCE_UNWIND_WALK_RULE_WALK_HPP

#include <cstddef>
#include <cstdint>

#include <whence/unwind/arch.hpp>
#include <whence/unwind/pc.hpp>
#include <whence/unwind/stop_reason.hpp>
#include <whence/unwind/unwinder.hpp>
#include <whence/unwind/walk/recover.hpp>
#include <whence/unwind/walk/return_address_check.hpp>
#include <whence/unwind/walk/stack_memory.hpp>

namespace whence::inline v1::unwind {

// `Memory` reads plugins (unwind/modules/module_memory.hpp). `Stack` is the calling thread's, or a
// copy of another's (copied_stack.hpp).
template <class Memory, class Stack = stack_memory>
class rule_walk {
 public:
  // Begins with the frame that has these registers, at `at`.
  [[gnu::always_inline]] rule_walk(unwinder& u, const registers& r, pc at) noexcept
      : unwinder_(u), r_(r), leaf_(r), leaf_at_(at), stack_(r.sp) {}
  rule_walk(unwinder& u, const registers& r, pc at, const Stack& stack) noexcept
      : unwinder_(u), r_(r), leaf_(r), leaf_at_(at), stack_(stack) {}

  // Takes the leaf in hand. If false, see needs_exact().
  [[gnu::always_inline]] bool start() noexcept {
    rule_ = unwinder_.rules().read().find(rule_key(leaf_at_.as_return_address()));
    return rule_.is_frame() || settle(leaf_at_);
  }

  // Does the same once more, at any time.
  bool restart() noexcept {
    r_ = leaf_;
    return start();
  }

  // Calls visit(return address) for the frame in hand, as long as it returns true, and climbs. The
  // leaf's instruction is given as it is. False if there are no more frames; end() tells why.
  template <class Visit>
  [[gnu::always_inline]] bool climb_while(Visit visit) noexcept {
    registers r = r_;
    rule q = rule_;
    const rule_cache::reader rules = unwinder_.rules().read();
    typename Stack::view stack = stack_.now();
    for (;;) {
      // Keeps the compiler from pairing them in a vector register, three cycles away.
      asm("" : "+r"(r.pc), "+r"(r.sp), "+r"(r.fp));
      if (!visit(r.pc)) break;
      if (q.is_frame() && climb(q, r, stack)) [[likely]] {
        q = rules.find(rule_key(r.pc));
        if (q.is_frame()) [[likely]]
          continue;
        r_ = r;
        rule_ = q;
        if (!settle(pc::return_address(r.pc))) return false;
      } else {
        r_ = r;
        rule_ = q;
        if (!step_slowly()) return false;
      }
      r = r_;
      q = rule_;
      stack = stack_.now();
    }
    r_ = r;
    rule_ = q;
    return true;
  }

  // Climbs one frame; false as in climb_while.
  bool step() noexcept {
    bool here = true;
    return climb_while([&here](std::uintptr_t) {
      const bool was_here = here;
      here = false;
      return was_here;
    });
  }

  const registers& in_hand() const noexcept { return r_; }

  // The rule of the frame in hand if it holds for that address as long as the process lives.
  rule permanent_rule() const noexcept { return unwinder_.rules().read().find(rule_key(r_.pc)); }

  // Takes a frame in hand that returns to r.pc. False as in climb_while.
  bool take(const registers& r) noexcept {
    r_ = r;
    rule_ = permanent_rule();
    return rule_.is_frame() || settle(pc::return_address(r_.pc));
  }

  const Stack& stack() const noexcept { return stack_; }

  // The end of the thread's own stack; 0 on any other stack.
  std::uintptr_t own_stack_end() const noexcept { return stack_.is_own() ? stack_.end() : 0; }

  stop_reason end() const noexcept { return end_; }
  // True if a frame so far is in a module that may be unloaded.
  bool met_plugin() const noexcept { return plugin_.where.end != 0; }
  // True if an address was not found by call-frame information: it may be stale.
  bool guessed() const noexcept { return !is_trusted(memory_); }
  // True if the walk met a frame that only dwarf_walk can climb, which begins at the leaf again.
  bool needs_exact() const noexcept { return needs_exact_; }

 private:
  bool finish(stop_reason end) noexcept {
    end_ = end;
    return false;
  }

  [[gnu::noinline, gnu::cold]] bool step_slowly() noexcept {
    const rule_kind kind = rule_.kind();
    if (kind == rule_kind::outermost) return finish(stop_reason::root);
    if (kind == rule_kind::frame) {
      if (!climb(rule_, r_, stack_))
        return recover(r_, place_in_hand(), stop_reason::outside_stack);
    } else if (!climb_rare(rule_, r_, stack_)) {
      return finish(stop_reason::outside_stack);
    }
    if (kind == rule_kind::linked) {
      if (!settle(pc::return_address(r_.pc))) return false;
      correct_sp(rule_, r_);
      return true;
    }
    if (kind == rule_kind::signal_frame) {
      leaf_ = r_;
      leaf_at_ = pc::instruction(r_.pc);
      if (!settle(leaf_at_)) return false;
      r_.pc = pc::instruction(r_.pc).as_return_address();
      return true;
    }
    return settle(pc::return_address(r_.pc));
  }

  // Finds the rule of the frame at `p`, whose registers are r_; false if it is not code.
  [[gnu::noinline, gnu::cold]] bool settle(pc p) noexcept {
    r_.pc = plain_code_address(p.address());
    if (r_.pc == 0) return recover_from_leaf(stack_.end_of_null_return());
    const pc at = p.is_return_address() ? pc::return_address(r_.pc) : pc::instruction(r_.pc);
    rule_ = unwinder_.rule_for(at.lookup(), memory_, plugin_);
    switch (rule_.kind()) {
      case rule_kind::exact:
        needs_exact_ = true;
        return finish(stop_reason::damaged);
      case rule_kind::none:
      case rule_kind::linked:
        return settle_unruled(at);
      default:
        return true;
    }
  }

  // Code without call-frame information (JIT, assembly), or no code.
  bool settle_unruled(pc at) noexcept {
    distrust(memory_);
    if (!at.is_return_address()) {
      rule_ = returns_from_leaf() ? leaf_rule : rule::of(rule_kind::linked);
      return true;
    }
    if (!stack_.holds(at.address()) && follows_call(at.address())) {
      // The first of a chain of frame records holds 0 as its predecessor, as both ABIs say.
      rule_ = rule::of(r_.fp == 0 ? rule_kind::outermost : rule_kind::linked);
      return true;
    }
    if (ends_signal(at.address())) {
      rule_ = rule::of(rule_kind::signal_frame);
      return true;
    }
    if (starts_function(at.address())) {
      // It was not called: it starts a context. It is shown as itself, not as the byte before.
      r_.pc = pc::instruction(at.address()).as_return_address();
      rule_ = rule::of(rule_kind::outermost);
      return true;
    }
    return recover_from_leaf(stop_reason::not_code);
  }

  // The frame in hand. Only the address of a leaf can be that of an instruction, which is looked up
  // as it is.
  pc place_in_hand() const noexcept {
    return r_.pc == leaf_.pc && r_.sp == leaf_.sp ? leaf_at_ : pc::return_address(r_.pc);
  }

  bool starts_function(std::uintptr_t address) noexcept {
    fde f;
    return unwinder_.entry_for(address, memory_, plugin_, f) == lookup_result::found &&
           f.start == address;
  }

  // A function without call-frame information that has not made a frame, such as PLT stubs of some
  // linkers, and small functions in assembly.
  bool returns_from_leaf() noexcept {
    registers r = r_;
    return climb(leaf_rule, r, stack_) && covering(r.pc) && follows_call(r.pc);
  }

  // The rule behind a return address if call-frame information covers it.
  rule covering(std::uintptr_t ra) noexcept {
    if (ra == 0) return {};
    const rule r = unwinder_.rule_for(ra - 1, memory_, plugin_);
    return r.kind() == rule_kind::linked ? rule{} : r;
  }

  // Finds the caller in another way after the step from r_ went wrong.
  bool recover(const registers& from, pc at, stop_reason end) noexcept {
    distrust(memory_);
    registers r = from;
    fde f;
    if (unwinder_.entry_for(at.lookup(), memory_, plugin_, f) != lookup_result::found) {
      return finish(end);
    }
    if constexpr (!Stack::takes_likely) {
      if (climb_fixed_frame(from, at, f)) return true;
    }
    if (!recover_caller(r, f.start, unwinder_.rule_for(at.lookup(), memory_, plugin_), stack_,
                        [this](std::uintptr_t ra) { return covering(ra); })) {
      return finish(end);
    }
    stack_.recovered(f.start, from.sp);
    r_ = r;
    rule_ = covering(r.pc);
    return true;
  }

  // Uses the frame pointer that the function must have there. It is right if a call of the function
  // returns to the word above it.
  bool climb_fixed_frame(const registers& from, pc at, const fde& f) noexcept {
    registers r = from;
    r.fp = Stack::fp_of(f, at.lookup(), from.sp);
    if (r.fp == 0 || !climb(unwinder_.rule_for(at.lookup(), memory_, plugin_), r, stack_)) {
      return false;
    }
    r.pc = plain_code_address(r.pc);
    const rule q = covering(r.pc);
    if (!q || !may_call(r.pc, f.start)) return false;
    r_ = r;
    rule_ = q;
    return true;
  }

  // The same if the step itself was possible, but did not lead to code: only the leaf's original
  // registers are known.
  bool recover_from_leaf(stop_reason end) noexcept {
    registers r = leaf_;
    const rule q = unwinder_.rule_for(leaf_at_.lookup(), memory_, plugin_);
    const bool left_leaf = q.is_frame() && climb(q, r, stack_) && r.sp == r_.sp;
    return left_leaf ? recover(leaf_, leaf_at_, end) : finish(end);
  }

  unwinder& unwinder_;
  registers r_;
  rule rule_;
  stop_reason end_ = stop_reason::enough;
  bool needs_exact_ = false;
  registers leaf_;
  pc leaf_at_;
  Stack stack_;
  [[no_unique_address]] Memory memory_;
  plugin plugin_;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_RULE_WALK_HPP
