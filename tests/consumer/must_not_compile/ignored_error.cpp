// SPDX-License-Identifier: Apache-2.0
//
// A failed write is always returned; ignoring the result is an error under -Werror.
// expected: nodiscard
#include <string>

#include <whence/whence.hpp>

int main() {
  std::string text;
  whence::lookup("heap")->write_to(text);
}
