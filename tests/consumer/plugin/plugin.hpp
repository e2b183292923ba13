// SPDX-License-Identifier: Apache-2.0
//
// The program's questions to a plugin; otherwise the two share only the library's headers.
#ifndef PLUGIN_HPP
#define PLUGIN_HPP

struct plugin_report {
  const void* heap;          // address of lookup("heap"), seen from the plugin
  const void* sessions;      // address of lookup("app.sessions")
  unsigned long entries;     // its count, while the plugin holds one entry
  unsigned long allocation;  // bytes the plugin holds in a tracked vector
};

using plugin_function = void (*)(plugin_report*);

#endif  // PLUGIN_HPP
