// SPDX-License-Identifier: Apache-2.0
//
// The short form of a demangled name, as pprof shows C++: without the function's result and
// parameters, without template arguments, and without the mark of a clone.
//
//   std::vector<int>& shop::prices<int>(shop::order) const [clone .cold]   ->   shop::prices
//   shop::f(int)::{lambda(char)#2}::operator()(char) const   ->
//       shop::f::{lambda(char)#2}::operator()
//
// It reads the text of __cxa_demangle from left to right, once. Brackets that are part of an
// operator's name, and arrows, open and close nothing; a text with unmatched brackets is returned
// unchanged. (github.com/ianlancetaylor/demangle: NoParams, NoTemplateParams)
#ifndef WHENCE_SYMBOLS_SHORT_NAME_HPP
#define WHENCE_SYMBOLS_SHORT_NAME_HPP

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

enum class template_arguments : bool { dropped, kept };

template <class = void>
class basic_name_shortener {
 public:
  basic_name_shortener(std::string_view name, template_arguments wanted) noexcept
      : text_(name), wanted_(wanted) {}

  // The name itself if nothing of it would be left.
  std::string shortened() && {
    take_prefix();
    while (at_ < text_.size() && !ended_) {
      if (!step()) return std::string(text_);
    }
    while (short_.size() > begin_ && short_.back() == ' ') short_.pop_back();
    if (short_.size() == begin_) return std::string(text_);
    return std::move(short_);
  }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  static constexpr bool is_word(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || static_cast<unsigned char>(c) >= 0x80;
  }

  std::string_view rest() const noexcept { return text_.substr(at_); }

  // Takes the words before the name of functions that compilers add.
  void take_prefix() {
    for (const std::string_view p :
         {"vtable for ", "VTT for ", "typeinfo for ", "typeinfo name for ", "guard variable for ",
          "non-virtual thunk to ", "virtual thunk to ", "covariant return thunk to ",
          "TLS init function for ", "TLS wrapper function for ", "transaction clone for ",
          "non-transaction clone for "}) {
      if (!rest().starts_with(p)) continue;
      take(p.size());
      begin_ = short_.size();
      return;
    }
  }

  void take(std::size_t count) {
    short_ += text_.substr(at_, count);
    at_ += count;
  }

  // False if the brackets do not match.
  bool step() {
    if (is_operator(at_)) {
      take_operator();
      return true;
    }
    switch (text_[at_]) {
      case '<':
        return group(wanted_ == template_arguments::kept);
      case '(':
        return parenthesis();
      case '{':  // {lambda(int)#2}
      case '[':  // [abi:cxx11]
        return group(true);
      case ')':
      case '>':
      case '}':
      case ']':
        return false;
      case ' ':
        blank();
        return true;
      default:
        take(1);
        return true;
    }
  }

  // Takes a whole bracket, or leaves it out.
  bool group(bool is_taken) {
    const std::size_t end = end_of_group(at_);
    if (end == none) return false;
    if (is_taken) short_ += text_.substr(at_, end - at_);
    at_ = end;
    return true;
  }

  bool parenthesis() {
    constexpr std::string_view anonymous = "(anonymous namespace)";
    if (rest().starts_with(anonymous)) {
      take(anonymous.size());
      return true;
    }
    const std::string_view before = std::string_view(short_).substr(begin_);
    // A function may return a pointer to another: void (*f(int))(char)
    if (before.empty() && (rest().starts_with("(*") || rest().starts_with("(&"))) {
      const std::size_t end = end_of_group(at_);
      if (end == none) return false;
      text_ = text_.substr(0, end - 1);
      while (at_ < text_.size() && std::string_view("(*& ").find(text_[at_]) != none) ++at_;
      return true;
    }
    // decltype (a+b) f<int>(int)
    if (before.empty() || before == "decltype") return group(false);
    if (before.ends_with('.')) return group(true);  // main.(*server).run, of Go
    if (!group(false)) return false;
    skip_qualifiers();
    // After a local function, or one of a local class, the name goes on.
    ended_ = !rest().starts_with("::");
    is_conversion_ = false;
    return true;
  }

  // Skips a member function's qualifiers, after its parameters.
  void skip_qualifiers() noexcept {
    for (;;) {
      std::size_t length = 0;
      for (const std::string_view q :
           {" const", " volatile", " noexcept", " &&", " &", "&&", "&"}) {
        if (length == 0 && rest().starts_with(q)) length = q.size();
      }
      if (length == 0) return;
      at_ += length;
    }
  }

  void blank() {
    ++at_;
    if (rest().starts_with("[clone ") || rest().starts_with("[clone.")) {
      ended_ = true;
    } else if (is_conversion_ || rest().starts_with("[")) {
      short_ += ' ';
    } else {
      short_.resize(begin_);  // removes the result's type
    }
  }

  bool is_operator(std::size_t at) const noexcept {
    constexpr std::string_view word = "operator";
    if (!text_.substr(at).starts_with(word)) return false;
    if (at > 0 && is_word(text_[at - 1])) return false;
    return at + word.size() < text_.size() && !is_word(text_[at + word.size()]);
  }

  // The end of the symbol in an operator's name. Operators of words (new, bool, co_await) have
  // none.
  std::size_t end_of_symbol(std::size_t at) const noexcept {
    at += std::string_view("operator").size();
    for (const std::string_view s :
         {"()", "[]", "<=>", "<<=", ">>=", "->*", "<<", ">>", "<=", ">=", "->", "<", ">"}) {
      if (text_.substr(at).starts_with(s)) return at + s.size();
    }
    while (at < text_.size() && std::string_view("+-*/%^&|~!=,\"").find(text_[at]) != none) ++at;
    return at;
  }

  void take_operator() {
    take(end_of_symbol(at_) - at_);
    if (!rest().starts_with(' ')) return;
    if (rest().starts_with(" <")) {  // operator< <char>
      if (wanted_ == template_arguments::kept) short_ += ' ';
      ++at_;
      return;
    }
    if (rest().starts_with(" [clone")) return;
    take(1);
    for (const std::string_view w : {"new[]", "delete[]"}) {
      if (rest().starts_with(w)) take(w.size());
    }
    is_conversion_ = true;
  }

  // The place after the bracket that closes the one at `at`; `none` if there is no such bracket.
  // Asked for ascending places.
  std::size_t end_of_group(std::size_t at) {
    if (groups_.empty()) find_groups(at);
    while (next_group_ < groups_.size() && groups_[next_group_].begin < at) ++next_group_;
    return next_group_ < groups_.size() ? groups_[next_group_].end : none;
  }

  // Finds the end of every group from `at` on, in one pass: a group may begin with another, which
  // begins with a third.
  void find_groups(std::size_t at) {
    sys::vector<std::size_t> open;  // indexes of groups_
    const auto opener = [&] { return text_[groups_[open.back()].begin]; };
    while (at < text_.size()) {
      if (is_operator(at)) {
        at = end_of_symbol(at);
        continue;
      }
      const char c = text_[at++];
      switch (c) {
        case '<':
        case '(':
        case '{':
        case '[':
          open.push_back(groups_.size());
          groups_.push_back({at - 1, none});
          break;
        case '-':
          if (at < text_.size() && text_[at] == '>') ++at;
          break;
        case '>':  // in other brackets it is a comparison
          if (open.empty() || opener() != '<') break;
          groups_[open.back()].end = at;
          open.pop_back();
          break;
        case ')':
        case '}':
        case ']': {
          while (!open.empty() && opener() == '<') open.pop_back();
          if (!open.empty() && opener() == (c == ')' ? '(' : c == '}' ? '{' : '[')) {
            groups_[open.back()].end = at;
            open.pop_back();
          } else {
            open.clear();  // closes none of them
          }
          break;
        }
        default:
          break;
      }
    }
  }

  std::string_view text_;
  const template_arguments wanted_;
  struct group_place {
    std::size_t begin, end;
  };

  std::size_t at_ = 0;               // the text before it is done
  sys::vector<group_place> groups_;  // by their begin; empty until one is needed
  std::size_t next_group_ = 0;
  std::string short_;      // so far
  std::size_t begin_ = 0;  // beginning of the name in short_
  bool ended_ = false;
  bool is_conversion_ = false;  // blanks are part of the operator's type
};
using name_shortener = basic_name_shortener<>;

template <class = void>
inline std::string short_name(std::string_view demangled,
                              template_arguments wanted = template_arguments::dropped) {
  return name_shortener(demangled, wanted).shortened();
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_SHORT_NAME_HPP
