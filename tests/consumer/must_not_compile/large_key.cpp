// SPDX-License-Identifier: Apache-2.0
//
// A profile_key is made from a pointer, an integer, an enum or a handle of at most 16 bytes.
// expected: large.*profile_key|profile_key.*large
#include <whence/whence.hpp>

struct large {
  char bytes[17];
};

int main() {
  whence::lookup("heap")->remove(large{});
}
