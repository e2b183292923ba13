// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include <whence/symbols/short_name.hpp>

using namespace whence;

namespace {

struct shortening {
  const char* name;
  const char* brief;
  const char* with_templates;
};

// Each row is a way to misread a bracket or a blank.
constexpr shortening hard_cases[] = {
    {"foo::operator()(int) const", "foo::operator()", "foo::operator()"},
    {"std::ostream& operator<< <int>(std::ostream&)", "operator<<", "operator<< <int>"},
    {"auto operator<=>(A, B)", "operator<=>", "operator<=>"},
    {"A::operator->*(int)", "A::operator->*", "A::operator->*"},
    {"A<int>::operator->() const", "A::operator->", "A<int>::operator->"},
    {"bool operator< <char>(A<char>)", "operator<", "operator< <char>"},
    {"A::operator>>=(int)", "A::operator>>=", "A::operator>>="},
    {"A::operator,(B)", "A::operator,", "A::operator,"},
    {"foo::operator bool() const", "foo::operator bool", "foo::operator bool"},
    {"a::operator std::vector<int>() const", "a::operator std::vector",
     "a::operator std::vector<int>"},
    {"a::operator unsigned long() const", "a::operator unsigned long", "a::operator unsigned long"},
    {"operator new[](unsigned long)", "operator new[]", "operator new[]"},
    {"operator delete(void*, unsigned long)", "operator delete", "operator delete"},
    {"operator\"\" _km(long double)", "operator\"\" _km", "operator\"\" _km"},
    {"my_operator(int)", "my_operator", "my_operator"},
    {"(anonymous namespace)::f(int)", "(anonymous namespace)::f", "(anonymous namespace)::f"},
    {"std::string (anonymous namespace)::f<int>()", "(anonymous namespace)::f",
     "(anonymous namespace)::f<int>"},
    {"f()::{lambda(int)#2}::operator()(int) const", "f::{lambda(int)#2}::operator()",
     "f::{lambda(int)#2}::operator()"},
    {"auto f<int>(int)::{lambda(auto:1)#1}::operator()<int>(int) const",
     "f::{lambda(auto:1)#1}::operator()", "f<int>::{lambda(auto:1)#1}::operator()<int>"},
    {"x::{unnamed type#1}::g()", "x::{unnamed type#1}::g", "x::{unnamed type#1}::g"},
    {"shop::price::{lambda at cart.cpp:12}", "shop::price::{lambda at cart.cpp:12}",
     "shop::price::{lambda at cart.cpp:12}"},
    {"operator() [cart.cpp:12]", "operator() [cart.cpp:12]", "operator() [cart.cpp:12]"},
    {"f(int)::g(char)", "f::g", "f::g"},
    {"f(int) const &&::g(char) noexcept", "f::g", "f::g"},
    {"f(int) volatile::g::h(char) const", "f::g::h", "f::g::h"},
    {"x<text{char [3]{(char)97, (char)60}}>::f(int)", "x::f",
     "x<text{char [3]{(char)97, (char)60}}>::f"},
    {"void f<(A)->b>()", "f", "f<(A)->b>"},
    {"f<((1)>(2))>(int)", "f", "f<((1)>(2))>"},
    {"f<((1)<(2))>(int)", "f", "f<((1)<(2))>"},
    {"A<&B::operator< >::f()", "A::f", "A<&B::operator< >::f"},
    {"vtable for A<int>", "vtable for A", "vtable for A<int>"},
    {"guard variable for f()::x", "guard variable for f::x", "guard variable for f::x"},
    {"non-virtual thunk to A<int>::f(int)", "non-virtual thunk to A::f",
     "non-virtual thunk to A<int>::f"},
    {"work() [clone .part.0]", "work", "work"},
    {"f[abi:cxx11](int) const [clone .isra.0] [clone .cold]", "f[abi:cxx11]", "f[abi:cxx11]"},
    {"unsigned long shop::sum<std::pair<int, int> >()", "shop::sum",
     "shop::sum<std::pair<int, int> >"},
    {"std::function<void (int)>::operator()(int) const", "std::function::operator()",
     "std::function<void (int)>::operator()"},
    {"void (*f<int>(int))(char)", "f", "f<int>"},
    {"decltype (a+b) f<int>(int)", "f", "f<int>"},
    {"decltype(a+b) f<int>(int)", "f", "f<int>"},
    {"void A::f<int>(int) const requires (x<int>)", "A::f", "A::f<int>"},
};

}  // namespace

TEST_CASE("a short name has no result, parameters, template arguments or mark of a clone") {
  for (const shortening& s : hard_cases) {
    CAPTURE(s.name);
    CHECK(symbols::short_name(s.name) == s.brief);
    CHECK(symbols::short_name(s.name, symbols::template_arguments::kept) == s.with_templates);
    // A short name stays unchanged, with templates and without.
    CHECK(symbols::short_name(s.brief) == s.brief);
  }
}

TEST_CASE("names that are short already, of other languages, or broken are not changed") {
  for (const char* name :
       {"main", "", "pthread_mutex_lock", "[overflow]", "[app+0x7]", "f<int", "f(int", "f)", "f>",
        "f<(int>)", "{", "main.(*server).run", "typeinfo for int (char)", "operator", "(", " "}) {
    CAPTURE(name);
    CHECK(symbols::short_name(name) == name);
  }
}

TEST_CASE("a name of megabytes, and one of brackets alone, need little stack") {
  std::string deep(1 << 20, '<');
  CHECK(symbols::short_name(deep) == deep);
  std::string nested = "f";
  for (int i = 0; i < 100'000; ++i) nested += "<a";
  nested += std::string(100'000, '>') + "::g(int)";
  CHECK(symbols::short_name(nested) == "f::g");
}

TEST_CASE("the time for a name that begins with nested brackets grows with its length alone") {
  // Returns a pointer to a function that returns a pointer to a function ...
  const auto nested = [](int depth) {
    std::string name;
    for (int i = 0; i < depth; ++i) name += "(*<>";
    name += "f";
    for (int i = 0; i < depth; ++i) name += ")(int)";
    return name;
  };
  CHECK(symbols::short_name(nested(1)) == "f");
  CHECK(symbols::short_name(nested(7)) == "f");
  // A pass over the text for each bracket would take an hour.
  CHECK(symbols::short_name(nested(1'000'000)) == "f");
}
