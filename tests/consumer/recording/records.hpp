// SPDX-License-Identifier: Apache-2.0
//
// What a part of the program that only records does, and what the part that reads is asked. Parts
// are in the executable or in a plugin.
#ifndef RECORDS_HPP
#define RECORDS_HPP

// Whatever the visibility of all else.
#pragma GCC visibility push(default)
extern "C" {
// Records: allocates, holds an entry of "app.sessions" and a coroutine, lets a thread wait for the
// lock "orders"; end_work gives all back.
void begin_work();
void end_work();

// Reads: the whole text of a profile, "" if there is none, in memory that it keeps.
const char* read_profile(const char* name);
void set_rate(long bytes);
}
#pragma GCC visibility pop

#endif  // RECORDS_HPP
