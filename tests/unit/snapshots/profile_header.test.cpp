// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <whence/snapshots/profile_header.hpp>

using namespace whence;

namespace {

bool says(const std::vector<std::string>& comments, const std::string& line) {
  return std::find(comments.begin(), comments.end(), line) != comments.end();
}

}  // namespace

TEST_CASE("the comments say which stacks ended early, by cause, and how many rules were made") {
  static state::process_state s;
  const std::vector<std::string> before = snapshots::comments(s);
  CHECK(before.size() == 1);  // the version
  unwind::walk_counts& counts = s.unwinder.counts();
  counts.ended(unwind::stop_reason::root);
  counts.ended(unwind::stop_reason::enough);
  CHECK(snapshots::comments(s) == before);

  counts.ended(unwind::stop_reason::not_code);
  counts.ended(unwind::stop_reason::not_code);
  counts.ended(unwind::stop_reason::outside_stack);
  counts.missed();
  const std::vector<std::string> after = snapshots::comments(s);
  CHECK(after.size() == before.size() + 3);
  CHECK(says(after, "2 stacks end early: a return address is not code"));
  CHECK(says(after, "1 stacks end early: the next frame is outside the stack"));
  CHECK(says(after, "1 unwind rules were read from .eh_frame"));
}
