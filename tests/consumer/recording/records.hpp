// SPDX-License-Identifier: Apache-2.0
//
// The tasks of the program's recording part, and the questions to its reading part. Both parts are
// in the executable or in a plugin.
#ifndef RECORDS_HPP
#define RECORDS_HPP

// These are visible with any other visibility flags.
#pragma GCC visibility push(default)
extern "C" {
// Records: allocates, holds an entry of "app.sessions" and a coroutine, and makes a thread wait for
// the lock "orders"; end_work frees all.
void begin_work();
void end_work();

// Reads: the whole text of a profile, "" if it does not exist, in memory that the reader keeps.
const char* read_profile(const char* name);
void set_rate(long bytes);
}
#pragma GCC visibility pop

#endif  // RECORDS_HPP
