// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include <whence/tables/type_spelling.hpp>

using namespace whence;

namespace {

std::string spelling_of(std::string_view name) {
  std::string room(2 * name.size(), '?');
  return std::string(tables::spelled(name, room.data()));
}

}  // namespace

TEST_CASE("a name has one spelling, from any compiler") {
  CHECK(spelling_of("int") == "int");
  CHECK(spelling_of("std::__cxx11::basic_string<char>") == "std::string");
  CHECK(spelling_of("std::basic_string<char>") == "std::string");
  CHECK(spelling_of("std::basic_string<char8_t>") == "std::basic_string<char8_t>");
  CHECK(
      spelling_of("std::_Rb_tree_node<std::pair<const std::__cxx11::basic_string<char>, a::b> >") ==
      "std::_Rb_tree_node<std::pair<const std::string, a::b>>");
  CHECK(spelling_of("a<b<c<int> > >") == "a<b<c<int>>>");
  CHECK(spelling_of("a<b<std::__cxx11::basic_string<char> > >") == "a<b<std::string>>");
  CHECK(spelling_of("{anonymous}::order") == "(anonymous namespace)::order");
  CHECK(spelling_of("node *") == "node*");
  CHECK(spelling_of("node **") == "node**");
  CHECK(spelling_of("const char [3]") == "const char[3]");
  CHECK(spelling_of("whence::v1::mutex") == "whence::mutex");
  CHECK(spelling_of("order_map<a, b>*[2]") == "order_map<a, b>*[2]");
}

TEST_CASE("allocators and default arguments of containers are left out of a name") {
  CHECK(spelling_of(
            "std::__detail::_Hash_node<std::pair<const std::__cxx11::basic_string<char, "
            "std::char_traits<char>, basic_tracking_allocator<char, whence::predefined_registry, "
            "std::allocator<char> > >, std::vector<int, basic_tracking_allocator<int, "
            "whence::predefined_registry, std::allocator<int> > > >, true>") ==
        "std::__detail::_Hash_node<std::pair<const std::string, std::vector<int>>, true>");
  CHECK(spelling_of("std::basic_string<char, std::char_traits<char>, "
                    "whence::basic_tracking_allocator<char, whence::predefined_registry, "
                    "std::allocator<char>>>") == "std::string");
  CHECK(spelling_of("std::map<int, a::b, std::less<int>, a::allocator<int>>") ==
        "std::map<int, a::b, a::allocator<int>>");
  // A text that was cut keeps arguments whose end is unknown.
  CHECK(spelling_of("std::vector<int, std::allocator<...") ==
        "std::vector<int, std::allocator<...");
}
