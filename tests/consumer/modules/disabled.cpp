// SPDX-License-Identifier: Apache-2.0
//
// With WHENCE_DISABLE the instruments record nothing, but a program may have entries of its own,
// and its settings and reads work.
#include <cstdio>

#include <whence/whence.hpp>

int main() {
  int failures = 0;
  const auto expect = [&](bool truth, const char* what) {
    if (!truth) std::fprintf(stderr, "disabled: %s\n", what);
    failures += truth ? 0 : 1;
  };
  expect(whence::labels{{"a", "b"}, {"c", "d"}}.size() == 2, "labels are lost");
  whence::set_block_profile_rate(77);
  expect(whence::set_block_profile_rate(1) == 77, "a rate is not set");
  whence::set_max_stack_depth(1);
  whence::profile& files = whence::new_profile("modules.files");
  files.add(1);
  const whence::profile_snapshot now = files.snapshot();
  expect(now.rows.size() == 1, "an entry is lost");
  expect(whence::lookup("heap")->count() == 0, "heap is not empty");
  return failures;
}
