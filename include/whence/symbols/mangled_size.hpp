// SPDX-License-Identifier: Apache-2.0
//
// An upper bound for the length of a demangled name. Each reference of a mangled name (S1_, T0_)
// repeats an earlier part, which may hold references itself: 250 characters may stand for a text of
// 500 MB, and __cxa_demangle writes it.
//
//   _Z1f1AIiiES_IS0_S0_ES_IS1_S1_E...     each argument is twice as long as the one before
//
// So the parts that can be referred to are measured, in the order in which they end, and no text is
// made. (Itanium C++ ABI, 5.1 External Names)
#ifndef WHENCE_SYMBOLS_MANGLED_SIZE_HPP
#define WHENCE_SYMBOLS_MANGLED_SIZE_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <whence/sys/algorithms.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

class mangled_size {
 public:
  explicit mangled_size(std::string_view mangled) noexcept : text_(mangled) {}

  // False also if it is not a name that this class can read.
  bool is_at_most(std::uint64_t limit) {
    limit_ = limit;
    // The first pass counts the elements of packs, which the patterns of the second repeat.
    for (int pass = 0; pass < 2; ++pass) {
      at_ = 2;
      size_ = {};
      parts_.clear();
      arguments_.clear();
      if (!encoding() || (!at_end() && peek() != '.')) return false;
    }
    std::uint64_t longest = 0;
    for (const amount& list : arguments_) {
      if (longest * list.references > limit) return false;
      longest = sys::most(longest, list.text + longest * list.references);
    }
    return longest <= limit && longest * size_.references <= limit &&
           size_.text + longest * size_.references <= limit;
  }

 private:
  static constexpr unsigned deepest = 256;
  static constexpr std::uint64_t per_character = 24;      // T, W: "TLS wrapper function for "
  static constexpr std::uint64_t per_standard_name = 80;  // Ss, Si, ... at their longest

  // `references` are those to template arguments, which are known only at the end.
  struct amount {
    std::uint64_t text = 0, references = 0;
  };

  class level {
   public:
    explicit level(unsigned& depth) noexcept : depth_(depth) { ++depth_; }
    ~level() { --depth_; }
    level(const level&) = delete;
    level& operator=(const level&) = delete;
    explicit operator bool() const noexcept { return depth_ <= deepest; }

   private:
    unsigned& depth_;
  };

  bool at_end() const noexcept { return at_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const noexcept {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool is(std::string_view next) const noexcept { return text_.substr(at_).starts_with(next); }
  static constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  static constexpr bool is_one_of(char c, std::string_view all) noexcept {
    return c != '\0' && all.find(c) != std::string_view::npos;
  }

  bool add(amount a) noexcept {
    size_.text += a.text;
    size_.references += a.references;
    return size_.text <= limit_ && size_.references <= limit_;
  }
  bool take(std::size_t characters) {
    if (characters > text_.size() - at_) return false;
    at_ += characters;
    return add({characters * per_character, 0});
  }
  bool take(std::string_view expected) { return is(expected) && take(expected.size()); }
  bool take_all(std::string_view set) {
    while (is_one_of(peek(), set)) {
      if (!take(1)) return false;
    }
    return true;
  }
  bool take_number() { return take_all("n0123456789"); }

  amount since(const amount& begin) const noexcept {
    return {size_.text - begin.text, size_.references - begin.references};
  }
  // What began there can be referred to from here on.
  bool part(const amount& begin) {
    parts_.push_back(since(begin));
    return true;
  }
  // What began there is written once for each element of a pack.
  bool repeat(const amount& begin) {
    const amount once = since(begin);
    return add({once.text * longest_list_, once.references * longest_list_});
  }

  // <type>*, up to the end that is left.
  bool types(char end) {
    while (peek() != end) {
      if (!type()) return false;
    }
    return true;
  }
  bool expressions(char end) {
    while (peek() != end) {
      if (!expression()) return false;
    }
    return take(1);
  }

  bool encoding() {
    const level l(depth_);
    if (!l) return false;
    if (peek() == 'T' || is("GV") || is("GR") || is("GT")) return special_name();
    if (!name(true)) return false;
    while (!at_end() && peek() != 'E' && peek() != '.') {
      if (!type()) return false;
    }
    return true;
  }

  bool special_name() {
    if (is("GV") || is("TW") || is("TH")) return take(2) && name(true);
    if (is("GR")) return take(2) && name(true) && take_all("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    if (is("GT")) return take(3) && encoding();
    if (is("Tc")) return take(2) && call_offset() && call_offset() && encoding();
    if (is("Th") || is("Tv")) return take(1) && call_offset() && encoding();
    return take(2) && type();
  }
  bool call_offset() {
    const bool is_virtual = peek() == 'v';
    return take(1) && take_number() && take("_") && (!is_virtual || (take_number() && take("_")));
  }

  // `of_function`: references to template arguments may be to those of this name.
  bool name(bool of_function) {
    const level l(depth_);
    if (!l) return false;
    const amount begin = size_;
    if (peek() == 'N') return nested_name(of_function);
    if (peek() == 'Z') return local_name(of_function);
    if (peek() == 'S' && peek(1) != 't') return substitution() && arguments(of_function);
    if (is("St") && !take(2)) return false;
    if (!unqualified_name()) return false;
    return peek() != 'I' || (part(begin) && arguments(of_function));
  }

  bool nested_name(bool of_function) {
    if (!take(1) || !take_all("rVK") || (is_one_of(peek(), "RO") && !take(1))) return false;
    const amount begin = size_;
    while (peek() != 'E') {
      if (peek() == 'S' && peek(1) != 't') {
        if (!substitution()) return false;
        continue;
      }
      if (peek() == 'M') {
        if (!take(1)) return false;
        continue;
      }
      const bool good = peek() == 'T'                               ? template_parameter()
                        : peek() == 'I'                             ? arguments(of_function)
                        : peek() == 'D' && is_one_of(peek(1), "tT") ? decltype_of()
                        : is("St")                                  ? take(2) && unqualified_name()
                                                                    : unqualified_name();
      if (!good) return false;
      if (peek() != 'E') part(begin);
    }
    return take(1);
  }

  bool local_name(bool of_function) {
    if (!take(1) || !encoding() || !take("E")) return false;
    if (peek() == 's') return take(1) && discriminator();
    if (peek() == 'd' && !(take(1) && take_number() && take("_"))) return false;
    return name(of_function) && discriminator();
  }
  bool discriminator() {
    if (is("__")) return take(2) && take_number() && take("_");
    return peek() != '_' || (take(1) && take_number());
  }

  bool unqualified_name() {
    if (peek() == 'L' && !take(1)) return false;  // of internal linkage
    const char c = peek();
    bool good = false;
    if (is_digit(c)) {
      good = source_name();
    } else if (is("Ul")) {
      good = take(2) && types('E') && take("E") && take_number() && take("_");
    } else if (is("Ut")) {
      good = take(2) && take_number() && take("_");
    } else if (is("DC")) {
      good = take(2);
      while (good && peek() != 'E') good = source_name();
      good = good && take("E");
    } else if (is("CI")) {
      good = take(3) && add({last_name_, 0}) && type();
    } else if (c == 'C' || c == 'D') {
      good = take(2) && add({last_name_, 0});
    } else {
      good = operator_name();
    }
    while (good && peek() == 'B') good = take(1) && source_name();
    return good;
  }

  bool source_name() {
    std::size_t length = 0;
    for (; is_digit(peek()); ++at_) {
      length = length * 10 + static_cast<std::size_t>(peek() - '0');
      if (length > text_.size()) return false;
    }
    if (length == 0 || length > text_.size() - at_) return false;
    at_ += length;
    last_name_ = length + per_character;  // "(anonymous namespace)" is longer than its code
    return add({last_name_, 0});
  }

  bool operator_name() {
    if (peek() < 'a' || peek() > 'z') return false;
    if (is("cv")) return take(2) && type();
    if (is("li")) return take(2) && source_name();
    if (peek() == 'v' && is_digit(peek(1))) return take(2) && source_name();
    return take(2);
  }

  // S_ S0_ S1Z_, or an abbreviation of a standard name.
  bool substitution() {
    if (!take(1)) return false;
    if (is_one_of(peek(), "absiod")) {
      last_name_ = per_character;
      if (!take(1) || !add({per_standard_name, 0})) return false;
      while (peek() == 'B') {
        if (!take(1) || !source_name()) return false;
      }
      return true;
    }
    std::size_t number = 0;
    if (peek() != '_') {
      for (; peek() != '_'; ++at_) {
        const char c = peek();
        if (!is_digit(c) && (c < 'A' || c > 'Z')) return false;
        number = number * 36 + static_cast<std::size_t>(is_digit(c) ? c - '0' : c - 'A' + 10);
        if (number > text_.size()) return false;
      }
      ++number;
    }
    return number < parts_.size() && take(1) && add(parts_[number]);
  }

  bool template_parameter() {
    return take(1) && take_all("0123456789") && take("_") && add({0, 1});
  }

  bool arguments(bool of_function) {
    const level l(depth_);
    if (!l || (peek() != 'I' && peek() != 'J') || !take(1)) return false;
    const amount begin = size_;
    std::uint64_t count = 0;
    for (; peek() != 'E'; ++count) {
      if (!argument()) return false;
    }
    longest_list_ = sys::most(longest_list_, count);
    if (of_function) arguments_.push_back(since(begin));
    return take(1);
  }
  bool argument() {
    if (peek() == 'X') return take(1) && expression() && take("E");
    if (peek() == 'L') return literal();
    if (peek() == 'J' || peek() == 'I') return arguments(false);
    return type();
  }

  bool type() {
    const level l(depth_);
    if (!l) return false;
    const amount begin = size_;
    switch (peek()) {
      case 'r':
      case 'V':
      case 'K':
        return take_all("rVK") && (is_function_type() ? function_type() : type()) && part(begin);
      case 'P':
      case 'R':
      case 'O':
      case 'C':
      case 'G':
        return take(1) && type() && part(begin);
      case 'U':
        if (peek(1) == 'l' || peek(1) == 't') return name(false) && part(begin);
        return take(1) && source_name() && (peek() != 'I' || arguments(false)) && type() &&
               part(begin);
      case 'F':
        return function_type() && part(begin);
      case 'A':
        return take(1) && (is_digit(peek()) ? take_number() : peek() == '_' || expression()) &&
               take("_") && type() && part(begin);
      case 'M':
        return take(1) && type() && type() && part(begin);
      case 'T':
        if (is_one_of(peek(1), "sue")) return take(2) && name(false) && part(begin);
        return template_parameter() && part(begin) &&
               (peek() != 'I' || (arguments(false) && part(begin)));
      case 'D':
        return type_of_two_letters(begin);
      case 'S':
        if (peek(1) == 't') return name(false) && part(begin);
        return substitution() && (peek() != 'I' || (arguments(false) && part(begin)));
      case 'u':
        return take(1) && source_name() && (peek() != 'I' || arguments(false)) && part(begin);
      default:
        if (is_one_of(peek(), "vwbcahstijlmxynofdegz")) return take(1);
        return name(false) && part(begin);
    }
  }

  bool type_of_two_letters(const amount& begin) {
    switch (peek(1)) {
      case 'p': {
        if (!take(2)) return false;
        const amount pattern = size_;
        return type() && repeat(pattern) && part(begin);
      }
      case 't':
      case 'T':
        return decltype_of() && part(begin);
      case 'v':
        return take(2) && (peek() == '_' ? take(1) && expression() : take_number()) && take("_") &&
               type() && part(begin);
      case 'F':
        return take(2) && take_number() && (take("_") || take(1));
      default:
        if (is_function_type()) return function_type() && part(begin);
        return is_one_of(peek(1), "defhisuacn") && take(2);
    }
  }
  bool decltype_of() { return take(2) && expression() && take("E"); }

  bool is_function_type() const noexcept {
    return peek() == 'F' || (peek() == 'D' && is_one_of(peek(1), "oOwx"));
  }
  bool function_type() {
    if (is("DO") && !(take(2) && expression() && take("E"))) return false;
    if (is("Dw") && !(take(2) && types('E') && take(1))) return false;
    if (is("Do") && !take(2)) return false;
    if (is("Dx") && !take(2)) return false;
    if (!take("F") || (peek() == 'Y' && !take(1))) return false;
    while (peek() != 'E' && !is("RE") && !is("OE")) {
      if (!type()) return false;
    }
    return take(peek() == 'E' ? 1 : 2);
  }

  bool literal() {
    if (is("L_Z")) return take(3) && encoding() && take("E");
    if (!take("L") || !type()) return false;
    while (!at_end() && peek() != 'E') {
      if (!take(1)) return false;
    }
    return take(1);
  }

  bool is_code(std::string_view all) const noexcept {
    for (std::size_t i = 0; i + 2 <= all.size(); i += 3) {
      if (is(all.substr(i, 2))) return true;
    }
    return false;
  }

  bool expression() {
    const level l(depth_);
    if (!l) return false;
    if (peek() == 'L') return literal();
    if (peek() == 'T') return template_parameter();
    if (is_digit(peek())) return member();
    if (is("sr")) return scoped_name();
    if (is("fp")) return function_parameter();
    if (is("fL") && is_digit(peek(2))) return take(2) && take_number() && function_parameter();
    if (is("on")) return take(2) && operator_name() && (peek() != 'I' || arguments(false));
    if (is("pp_") || is("mm_")) return take(3) && expression();
    if (is("cv")) return take(2) && type() && (peek() == '_' ? list() : expression());
    if (is("tl")) return take(2) && type() && expressions('E');
    if (is_code("dt pt")) return take(2) && expression() && member();
    if (is_code("il cl")) return take(2) && expressions('E');
    if (is_code("dc sc cc rc")) return take(2) && type() && expression();
    if (is_code("st at ti")) return take(2) && type();
    if (is("tr")) return take(2);
    if (is("sP")) {
      if (!take(2)) return false;
      while (peek() != 'E') {
        if (!argument()) return false;
      }
      return take(1);
    }
    if (is("sp")) {
      if (!take(2)) return false;
      const amount pattern = size_;
      return expression() && repeat(pattern);
    }
    if (is_code("fl fr")) return take(4) && expression();
    if (is_code("fL fR")) return take(4) && expression() && expression();
    if (is_code("nw na")) return new_expression();
    if (is("qu")) return take(2) && expression() && expression() && expression();
    if (is_code("gs sZ te sz az nx tw ps ng ad de co nt dl da pp mm")) {
      return take(2) && expression();
    }
    if (is_code("an aN aS cm ds dv dV eo eO eq ge gt ix le ls lS lt mi mI ml mL ne oo aa or oR pl "
                "pL pm rm rM rs rS ss")) {
      return take(2) && expression() && expression();
    }
    return false;
  }

  bool list() { return take(1) && expressions('E'); }

  // The name after a dot: f, f<int>, or one with a scope.
  bool member() {
    if (is("sr") || is("on") || is("gs")) return expression();
    return unqualified_name() && (peek() != 'I' || arguments(false));
  }

  bool scoped_name() {
    if (!take(2)) return false;
    if (peek() != 'N' && !is_digit(peek())) return type() && member();
    if (peek() == 'N' && (!take(1) || !type())) return false;
    while (peek() != 'E') {
      if (!member()) return false;
    }
    return take(1) && member();
  }

  bool function_parameter() {
    if (is("fpT")) return take(3);
    return take_all("fp") && take_all("rVK") && take_all("0123456789") && take("_");
  }

  bool new_expression() {
    if (!take(2)) return false;
    return expressions('_') && type() &&
           (peek() == 'E' ? take(1) : is_code("pi il") && take(2) && expressions('E'));
  }

  std::string_view text_;
  std::uint64_t limit_ = 0;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
  amount size_;                    // of the text before at_
  sys::vector<amount> parts_;      // by their numbers in substitutions
  sys::vector<amount> arguments_;  // of functions' templates
  std::uint64_t last_name_ = 0;    // constructors and destructors repeat it
  std::uint64_t longest_list_ = 0;
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MANGLED_SIZE_HPP
