// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <list>
#include <string>
#include <string_view>
#include <utility>

#include "support/temp_dir.hpp"
#include <whence/instruments/type_text.hpp>

namespace type_text_test {
struct order {};
template <class... T>
struct crate {};
enum class flag { off, on };
template <flag F, char C>
struct switched {};
using eight = crate<order, order, order, order, order, order, order, order>;
}  // namespace type_text_test

using namespace type_text_test;

namespace {

template <class T>
std::string_view text_of() {
  static_assert(whence::instruments::type_text<T>::it.text[0] != '\0');
  return whence::instruments::type_text<T>::it.text;
}

}  // namespace

TEST_CASE("a type's text is its name, all of it and nothing else") {
  CHECK(text_of<int>() == "int");
  CHECK(text_of<order>() == "type_text_test::order");
  CHECK(text_of<std::_List_node<order>>() == "std::_List_node<type_text_test::order>");
  CHECK(text_of<std::pair<const int, order>>() == "std::pair<const int, type_text_test::order>");
  // Brackets and signs inside the name do not end it.
  CHECK(text_of<int[3]>().starts_with("int"));
  CHECK(text_of<int[3]>().ends_with("[3]"));
  CHECK(text_of<switched<flag::on, '='>>().starts_with("type_text_test::switched<"));
  CHECK(text_of<switched<flag::on, ']'>>().ends_with(">"));
}

TEST_CASE("a text longer than the most ends in dots") {
  const std::string_view text = text_of<crate<eight, eight, eight, eight>>();
  CHECK(text.size() == whence::instruments::longest_type_text);
  CHECK(text.starts_with("type_text_test::crate<type_text_test::crate<type_text_test::order,"));
  CHECK(text.ends_with("..."));
}

TEST_CASE("it needs no RTTI, and an object file has the names alone") {
  const whence_tests::temp_dir shop;
  shop.write("names.cpp",
             "#include <whence/instruments/type_text.hpp>\n"
             "namespace shop { struct order {}; }\n"
             "const char* name() {\n"
             "  return whence::instruments::type_text<shop::order>::it.text;\n"
             "}\n");
  for (const char* level : {"-O0", "-O2"}) {
    shop.run(shop.compiler() + " -std=c++20 -fno-rtti -fPIC " + level +
             " -I" WHENCE_INCLUDE_DIR " -c names.cpp -o names.o");
    // c means that the object's constants contain only that text.
    CHECK(shop.run("objcopy -O binary --set-section-flags '.rodata*=alloc,load,contents' "
                   "-j '.rodata*' names.o constants && tr -d '\\0' <constants") == "shop::order");
  }
}
