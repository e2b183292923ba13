// SPDX-License-Identifier: Apache-2.0
//
// The oracle is Go's own text/tabwriter, run here.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "tools.hpp"
#include <whence/format/tabwriter.hpp>

namespace {

std::string aligned(std::string_view text) {
  std::string result;
  whence::format::tabwriter writer(result);
  writer.write(text);
  writer.flush();
  return result;
}

}  // namespace

TEST_CASE("columns of consecutive lines are padded with tabs to the widest cell and one more") {
  CHECK(aligned("#\t0x6a7166\tmain.live+0x46\ta:22\n#\t0x6a7a69\tmain.main+0x69\tb:58\n"
                "#\t0x43af31\truntime.main+0x211\tc:250\n\n") ==
        "#\t0x6a7166\tmain.live+0x46\t\ta:22\n#\t0x6a7a69\tmain.main+0x69\t\tb:58\n"
        "#\t0x43af31\truntime.main+0x211\tc:250\n\n");
}

TEST_CASE("lines without a cell in a column begin its width anew") {
  CHECK(aligned("#\t1234567\ta\n#\t0x1\n#\t1\tb\n") == "#\t1234567\ta\n#\t0x1\n#\t1\tb\n");
}

TEST_CASE("text is aligned as Go aligns it") {
  const whence_tests::temp_dir here;
  std::minstd_rand generator(7);
  const auto random = [&] { return static_cast<unsigned>(generator() >> 8); };
  const char* const parts[] = {"x",       "main.f+0x1", "\xc3\xa4",     "",
                               "0123456", "01234567",   "\xe2\x82\xac_"};
  std::string text;
  for (int line = 0; line < 20'000; ++line) {
    const unsigned cells = random() % 5;
    for (unsigned cell = 0; cell < cells; ++cell) {
      for (unsigned n = random() % 4; n-- > 0;) text += parts[random() % 7];
      text += '\t';
    }
    text += parts[random() % 7];
    text += '\n';
  }
  tools::save(here / "in", text);
  tools::save(here / "tab.go", R"(package main
import ("io"; "os"; "text/tabwriter")
func main() {
	w := tabwriter.NewWriter(os.Stdout, 1, 8, 1, '\t', 0)
	if _, err := io.Copy(w, os.Stdin); err != nil { panic(err) }
	if err := w.Flush(); err != nil { panic(err) }
})");
  const std::string expected = tools::output_of(
      "GO111MODULE=off go run " + (here / "tab.go").string() + " < " + (here / "in").string());
  CHECK(aligned(text) == expected);
}
