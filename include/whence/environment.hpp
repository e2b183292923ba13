// SPDX-License-Identifier: Apache-2.0
//
// Include this in one source file of a program. Its profiles and its server are then asked for by
// environment variables alone, as with examples/preload/, which needs no source at all:
//
//   $ WHENCE_AT_EXIT=heap ./program                 leaves whence.program.PID.heap.pb.gz
//   $ WHENCE_HTTP=6060 ./program                    /debug/pprof/ at 127.0.0.1:6060
//
//   WHENCE_AT_EXIT   the files to write at the end: heap, cpu, wall, allocs, block, mutex,
//                    mutex_hold, thread, threadcreate, between commas. cpu and wall are sampled
//                    from the start. If it is not set and one of the next three is: heap
//   WHENCE_OUT       their names. %p process, %n program, %t time of its start, %k kind, %s empty
//   for
//                    the first file, then .2, .3, ..., %% percent. whence.%n.%p.%k%s.pb.gz in the
//                    folder in which the program was started
//   WHENCE_SIGNAL    writes them also when this signal comes, any number of times: USR2, RTMIN+3,
//                    12. TERM, INT, HUP and QUIT then end the process as they do without us
//   WHENCE_EVERY     writes them also every so many seconds; cpu and wall: what was added
//   WHENCE_KEEP      of these, keeps the files of so many turns, 10
//   WHENCE_HTTP      PORT, HOST:PORT or unix:PATH with %p, %n and %t: whence::server. If the port
//   is
//                    taken, the next free one of 100; 0: any free port. The port stands in
//                    whence.PID.port in the folder of WHENCE_OUT
//   WHENCE_TOKEN     the server's token (http::options). Other machines are served only with one
//   WHENCE_ONLY      a pattern of the shell for programs' names: all others are as without us
//   WHENCE_CHILDREN  fork,exec: children are followed. fork, exec: only those that do not exec, or
//                    do. none: the variables and the preload leave the environment at the start
//   WHENCE_CPU_HZ    samples a second, 100
//   WHENCE_SYMBOLS   0: files have addresses and build-ids only
//   WHENCE_VERBOSE   1: says on stderr what is served, written and refused by the system
//   WHENCE_LOCKS     reserved
//
// and those of <whence/knobs.hpp>. They are read once, before main; never by a program that runs
// with others' rights (secure_getenv). A value that cannot be meant is refused in one line on
// stderr. Files are readable by their user alone. With %s in their names they replace no file;
// without it one of the same name, which with %p is the same process's, or an earlier one's that
// had its number.
//
//   return, exit, pthread_exit of main, _exit, _Exit, quick_exit   files, after the destructors of
//                        the program and before those of its libraries
//   exec                 files, before it
//   a child of fork      has files of its own: the parent's memory at the fork, and its own.
//   Server,
//                        schedule, CPU and wall-clock time begin again after 64 samples of memory
//                        or 50 ms of CPU time, from an allocation
//   a child of vfork     none
//   abort, a fault, a signal that kills    none: see WHENCE_EVERY and WHENCE_SIGNAL. Also if a
//                        handler calls exit or _exit, and is one of a fault, has a small stack, or
//                        interrupted malloc, whose lock is then held
//   nothing was recorded    no file
//
// If no variable is set, it does nothing. There is a thread only if WHENCE_SIGNAL, WHENCE_EVERY or
// WHENCE_HTTP, or wall, is set; for cpu, one only if <whence/pthread.hpp> is not in the program,
// too. Without that thread, a program that sets SIGPROF to SIG_DFL, which kills, is noticed only
// when another of its threads begins or a block is sampled.
//
// There is nothing to call. Its work is thread-safe; a signal only wakes the thread that writes.
//
// It defines _exit, _Exit, quick_exit, execve, execv, execvp, execvpe, execl, execle, execlp,
// fexecve and execveat, and calls libc's. It is for dynamically linked programs.
#ifndef WHENCE_ENVIRONMENT_HPP
#define WHENCE_ENVIRONMENT_HPP

#include <whence/config.hpp>

#include <whence/environment/begin.hpp>
#include <whence/environment/ways_out.hpp>

#endif  // WHENCE_ENVIRONMENT_HPP
