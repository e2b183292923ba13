// SPDX-License-Identifier: Apache-2.0
//
// Both pages define operator new.
// expected: include one of the two
#include <whence/malloc.hpp>
#include <whence/new_delete.hpp>

int main() {}
