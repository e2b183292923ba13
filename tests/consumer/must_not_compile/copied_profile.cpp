// SPDX-License-Identifier: Apache-2.0
//
// A profile lives as long as the process and is not copied.
// expected: deleted
#include <whence/whence.hpp>

int main() {
  whence::profile copy = *whence::lookup("heap");
  return static_cast<int>(copy.count());
}
