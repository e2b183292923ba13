// SPDX-License-Identifier: Apache-2.0
//
// Both pages define operator new.
// expected: include one of the two
#include <whence/new_delete.hpp>

#include <whence/malloc.hpp>

int main() {}
