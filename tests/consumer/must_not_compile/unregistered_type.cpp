// SPDX-License-Identifier: Apache-2.0
//
// A registry is a type that meets profile_registry; the error for other types says what is missing.
// expected: profile_registry
#include <whence/whence.hpp>

struct not_a_registry {};

whence::tracking_allocator<int, not_a_registry> allocator;

int main() {}
