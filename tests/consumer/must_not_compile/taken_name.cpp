// SPDX-License-Identifier: Apache-2.0
//
// A custom profile has a name, which is not that of a predefined profile.
// expected: custom_profile: an empty name
#include <whence/whence.hpp>

whence::tracked<whence::custom_profile<"heap">> entry;

int main() {}
