// SPDX-License-Identifier: Apache-2.0
//
// Reads mangled names, one a line, and writes each with its short name, for short_names.test.sh to
// compare with another demangler's.
#include <iostream>
#include <string>

#include <whence/symbols/demangle.hpp>
#include <whence/symbols/short_name.hpp>

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string name; std::getline(std::cin, name);) {
    std::cout << name << '\t' << whence::symbols::short_name(whence::symbols::demangle(name))
              << '\n';
  }
  return std::cin.bad() || !std::cout.flush();
}
