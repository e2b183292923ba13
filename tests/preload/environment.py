#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An unmodified program, its environment, and the files that it leaves.

usage: tests/preload/environment.py FOLDER [NAME...]

FOLDER has libwhence_preload.so and whence-run (examples/preload/build.sh). The oracles are the shell,
the kernel and `go tool pprof`. No test takes its verdict from a clock: what is waited for comes, or
the test fails after a minute.
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else sys.exit(__doc__)
LIBRARY = os.path.join(BUILD, 'libwhence_preload.so')
RUN = os.path.join(BUILD, 'whence-run')
PROGRAM = os.path.join(BUILD, 'ways_out')
CXX = os.environ.get('CXX', 'g++')
LONG = 60

tests = []


def test(function):
    tests.append(function)
    return function


class Refused(AssertionError):
    pass


def check(condition, *said):
    if not condition:
        raise Refused(' '.join(str(word) for word in said))


def variables(**more):
    """The environment of this script without the library's variables, and `more` of them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith('WHENCE_') and name != 'LD_PRELOAD'}
    kept['LD_PRELOAD'] = LIBRARY
    kept.update({'WHENCE_' + name: str(value) for name, value in more.items()})
    return kept


class Folder:
    """A fresh folder, removed if the test passes."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix='whence-env.')
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)

    def files(self, pattern='*'):
        return sorted(os.path.basename(name) for name in glob.glob(os.path.join(self.path, pattern)))

    def run(self, *command, stdin=subprocess.DEVNULL, expect=None, **more):
        done = subprocess.run(command, cwd=self.path, env=variables(**more), stdin=stdin, capture_output=True, text=True,
                              timeout=LONG)
        if expect is not None:
            check(done.returncode == expect, command, 'ended with', done.returncode, 'not', expect, done.stderr)
        return done

    def start(self, *command, **more):
        return subprocess.Popen(command, cwd=self.path, env=variables(**more), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for(self, pattern, least=1):
        for _ in range(LONG * 20):
            found = [name for name in self.files(pattern)]
            if len(found) >= least:
                return found
            time.sleep(0.05)
        raise Refused('never came:', pattern, 'in', self.files())

    def names(self, name, index=''):
        """The functions of a profile, by pprof."""
        top = subprocess.run(['go', 'tool', 'pprof', '-top', '-nodecount=1000', '-sample_index=' + index, os.path.join(self.path, name)], cwd=self.path,
                             capture_output=True, text=True, timeout=LONG)
        check(top.returncode == 0, 'pprof', name, top.stderr)
        return top.stdout


def wait_until_handled(pid, number):
    """Until the process has a handler: the signal would end it before."""
    for _ in range(LONG * 20):
        with open('/proc/%d/status' % pid) as file:
            caught = int(re.search(r'^SigCgt:\s*(\w+)', file.read(), re.M)[1], 16)
        if caught >> (number - 1) & 1:
            return
        time.sleep(0.05)
    raise Refused('process', pid, 'never handles signal', number)


def leave_it(process):
    process.kill()
    process.communicate()


# ---- ways out ------------------------------------------------------------------------------------

# way: (status, number of heap files). A file more: the program that exec starts samples nothing.
WAYS = {
    'return': (3, 1), 'exit': (3, 1), 'exit_in_thread': (3, 1), 'pthread_exit': (0, 1), '_exit': (3, 1), '_Exit': (3, 1),
    'quick_exit': (3, 1), 'fork_exit': (0, 2), 'abort': (-signal.SIGABRT, 0), 'segv': (-signal.SIGSEGV, 0),
    'term': (-signal.SIGTERM, 0), 'handler_waits': (3, 1), 'vfork_exit': (3, 1), 'vfork_exec': (0, 1), 'fork_exec': (0, 1),
    'spawn': (0, 1), 'execv': (0, 1), 'execve': (0, 1), 'execvp': (0, 1), 'execl': (0, 1), 'execle': (0, 1),
    'execlp': (0, 1), 'fexecve': (0, 1), 'exec_fails': (3, 1), 'clearenv': (3, 1), 'title': (3, 1), 'nothing': (0, 0),
    'exitrace': (3, 1), 'handler_on_small_stack': (3, 0), 'handler_of_fault': (3, 0),
}


@test
def ends():
    wrong = []
    for way, (status, count) in WAYS.items():
        with Folder() as folder:
            # The C++ library allocates 72 KiB before main, which chance may sample at the usual rate.
            rate = {'HEAP_RATE': 2**40} if way == 'nothing' else {}
            done = folder.run(PROGRAM, way, AT_EXIT='heap', **rate)
            found = folder.files('*ways_out*')  # chance may sample what /bin/true allocates, too
            print('  %-16s rc %4d  %s' % (way, done.returncode, ' '.join(found) or '-'))
            if (done.returncode, len(found)) != (status, count):
                wrong.append('%s: rc %d, %s' % (way, done.returncode, found))
            elif done.stdout or done.stderr:
                wrong.append('%s says %s%s' % (way, done.stdout, done.stderr))
            elif not all(re.fullmatch(r'whence\.ways_out\.\d+\.heap\.pb\.gz', name) for name in found):
                wrong.append('%s: names %s' % (way, found))
            elif count and 'own_function' not in folder.names(found[0]):
                wrong.append('%s: own_function is not in %s' % (way, found[0]))
            elif any(os.stat(os.path.join(folder.path, name)).st_mode & 0o777 != 0o600 for name in found):
                wrong.append('%s: mode' % way)
    check(not wrong, *wrong)


@test
def small_stack():
    with Folder() as folder:
        folder.run(PROGRAM, 'exit_on_small_stack', AT_EXIT='heap,cpu,thread', expect=3)
        found = folder.files('*.heap.*')
        check(len(found) == 1 and 'own_function' in folder.names(found[0]), folder.files())
        check(len(folder.files('*.thread.*')) == 1, folder.files())


@test
def exec_keeps_the_process():
    with Folder() as folder:
        folder.run(PROGRAM, 'exec_itself', expect=3, AT_EXIT='heap')
        found = folder.files()
        check(len(found) == 2 and found[0].endswith('.heap.2.pb.gz') and found[1].endswith('.heap.pb.gz'), found)


@test
def handler_in_malloc():
    for _ in range(3):
        with Folder() as folder:
            folder.run(PROGRAM, 'handler_in_malloc', expect=3, AT_EXIT='heap')


@test
def pending_sigprof_kills_no_new_program():
    for _ in range(5):
        with Folder() as folder:
            folder.run(PROGRAM, 'profile_signal_at_exec', expect=3, AT_EXIT='cpu', CPU_HZ=10000)
            check(len(folder.files('*ways_out*.cpu.pb.gz')) == 1, folder.files())


@test
def closed_stderr_and_chdir():
    with Folder() as folder:
        other = os.path.join(folder.path, 'other')
        folder.run(PROGRAM, 'closed', other, expect=3, AT_EXIT='heap', VERBOSE=1)
        check(os.path.getsize(other) == 0, 'wrote into a file that has the number of stderr', open(other).read())
        check(len(folder.files('whence.*')) == 1, folder.files())
    with Folder() as folder:
        folder.run(PROGRAM, 'chdir', expect=3, AT_EXIT='heap')
        check(len(folder.files('whence.*')) == 1, folder.files())


@test
def names():
    with Folder() as folder:
        folder.run(PROGRAM, 'return', expect=3, AT_EXIT='heap,threadcreate,thread', OUT='a.%n.%p.%t.%k%s%%.pb.gz')
        found = folder.files()
        check(len(found) == 2 and all(re.fullmatch(r'a\.ways_out\.\d+\.\d{8}T\d{6}Z\.(heap|thread)%\.pb\.gz', n) for n in found), found)
    with Folder() as folder:  # a symbolic link is replaced, not followed
        os.symlink('victim', os.path.join(folder.path, 'fixed.pb.gz'))
        folder.run(PROGRAM, 'return', expect=3, AT_EXIT='heap', OUT='fixed.pb.gz', CHILDREN='none')
        check(folder.files() == ['fixed.pb.gz'] and not os.path.islink(os.path.join(folder.path, 'fixed.pb.gz')), folder.files())


@test
def refused_values():
    cases = {
        'AT_EXIT': 'heap,cheese', 'SIGNAL': 'KILL', 'EVERY': '0', 'KEEP': 'x', 'HTTP': '0.0.0.0:6060', 'CHILDREN': 'some',
        'CPU_HZ': '20000', 'SYMBOLS': '2', 'VERBOSE': 'yes', 'OUT': 'no_process.pb.gz', 'HEAP_RATE': '-1', 'LOCKS': '1',
    }
    for name, value in cases.items():
        with Folder() as folder:
            done = folder.run('/bin/sh', '-c', '"$0" return; "$0" return', PROGRAM, **{name: value})
            lines = done.stderr.splitlines()
            start = 'whence: WHENCE_%s=%s ' % (name, value)
            if name == 'HEAP_RATE':
                start = 'whence: ignored, not a number in range: WHENCE_HEAP_RATE'
            check(len(lines) == 1 and lines[0].startswith(start), name, value, lines)
            print('  ' + lines[0])
    for value in ('70000', 'host:', 'unix:', '1.2.3.4:80', '12x'):
        with Folder() as folder:
            done = folder.run(PROGRAM, 'nothing', HTTP=value, expect=0)
            check(done.stderr.startswith('whence: WHENCE_HTTP='), value, done.stderr)
    for value in ('x/%p.%q', '/nowhere/%p', '%p/'):
        with Folder() as folder:
            done = folder.run(PROGRAM, 'return', AT_EXIT='heap', OUT=value, expect=3)
            check(done.stderr.startswith('whence: WHENCE_OUT=') and folder.files() == [], value, done.stderr, folder.files())
    with Folder() as folder:
        done = folder.run(PROGRAM, 'return', AT_EXIT='heap,thread', OUT='%p', expect=3)
        check('lacks %k' in done.stderr, done.stderr)


# ---- processes -----------------------------------------------------------------------------------

@test
def nothing_asked_nothing_started():
    with Folder() as folder:
        folder.run(PROGRAM, 'single', expect=3)
        check(folder.files() == [], folder.files())


@test
def single():
    with Folder() as folder:
        done = folder.run(PROGRAM, 'single', AT_EXIT='heap')
        plain = subprocess.run([PROGRAM, 'single'], timeout=LONG).returncode  # unshare may be forbidden here
        check(done.returncode == plain and done.returncode != 4, 'threads or unshare:', done.returncode, plain)


@test
def cpu_starts_no_thread():
    with Folder() as folder:
        folder.run(PROGRAM, 'threads', expect=4, AT_EXIT='cpu')  # 3 and main
        found = folder.files()
        check(len(found) == 1 and found[0].endswith('.cpu.pb.gz'), found)
        text = folder.names(found[0])
        print('\n'.join('  ' + line for line in text.splitlines()[:9]))
        busy = [line.split() for line in text.splitlines() if 'busy' in line or 'clock_gettime' in line]
        check(busy, text)
        unsampled = [line for line in text.splitlines() if '[unsampled]' in line]
        check(not unsampled or float(unsampled[0].split()[1].rstrip('%')) < 20, text)


@test
def storm():
    with Folder() as folder:
        for rate in (1, 4096, 524288):
            folder.run(PROGRAM, 'storm', expect=3, AT_EXIT='heap', HEAP_RATE=rate, CHILDREN='exec')
        folder.run(PROGRAM, 'storm', expect=3, AT_EXIT='heap,cpu', HEAP_RATE=4096)


@test
def plugins():
    with Folder() as folder:
        source = os.path.join(folder.path, 'plugin.c')
        with open(source, 'w') as file:
            file.write('#include <stdlib.h>\nint work(int n) { for (int i = 0; i < 200000; ++i) __asm__ volatile(""); '
                       'free(malloc(90000)); return n; }\n')
        plugin = os.path.join(folder.path, 'plugin.so')
        subprocess.run(['gcc', '-shared', '-fPIC', source, '-o', plugin], check=True)
        folder.run(PROGRAM, 'dlopen', plugin, expect=3, AT_EXIT='heap,cpu', HEAP_RATE=4096)
        top = folder.names(folder.files('*.heap.pb.gz')[0], 'alloc_space')
        check('work' in top or 'plugin' in top, top)


@test
def first_allocation_under_libc_lock():
    # As in postgres: the first allocation of all is bindtextdomain's, in a library's constructor.
    with Folder() as folder:
        for name, text in (('lib.c', '#include <libintl.h>\n__attribute__((constructor)) static void f(void) { bindtextdomain("a", "/"); }\n'
                                     'int use(void) { return 0; }\n'),
                           ('main.c', '#include <dlfcn.h>\n#include <libintl.h>\nint use(void);\n'
                                      'int main(void) { return use() + (bindtextdomain("b", "/") == 0) + 2 * (dlerror() != 0); }\n')):
            with open(os.path.join(folder.path, name), 'w') as file:
                file.write(text)
        subprocess.run(['gcc', '-shared', '-fPIC', 'lib.c', '-o', 'lib.so'], cwd=folder.path, check=True)
        subprocess.run(['gcc', 'main.c', './lib.so', '-o', 'main', '-ldl'], cwd=folder.path, check=True)
        folder.run(os.path.join(folder.path, 'main'), expect=0)


@test
def only():
    with Folder() as folder:
        folder.run(PROGRAM, 'return', expect=3, AT_EXIT='heap', ONLY='other*')
        check(folder.files() == [], folder.files())
        folder.run(PROGRAM, 'return', expect=3, AT_EXIT='heap', ONLY='ways_*')
        check(len(folder.files()) == 1, folder.files())


@test
def children():
    with Folder() as folder:
        folder.run(PROGRAM, 'fork_exit', expect=0, AT_EXIT='heap', CHILDREN='none')
        check(len(folder.files()) == 1, folder.files())
    with Folder() as folder:
        script = '"$0" return; echo "[$LD_PRELOAD$WHENCE_AT_EXIT]"'
        shell = folder.run('/bin/sh', '-c', script, PROGRAM, AT_EXIT='heap', CHILDREN='none')
        # The shell has read its environment by the time that it prints.
        check(len(folder.files('*ways_out*')) == 0, folder.files(), shell.stdout)
    with Folder() as folder:  # a library that the dynamic linker has looked for
        environment = variables(AT_EXIT='heap', CHILDREN='none')
        environment.update(LD_PRELOAD=os.path.basename(LIBRARY), LD_LIBRARY_PATH=BUILD)
        shell = subprocess.run(['/bin/sh', '-c', 'echo "[$LD_PRELOAD]"'], cwd=folder.path, env=environment,
                               capture_output=True, text=True, timeout=LONG)
        check(shell.stdout == '[]\n', shell.stdout)
    with Folder() as folder:
        folder.run('/bin/sh', '-c', '"$0" return; exit 0', PROGRAM, AT_EXIT='heap', CHILDREN='exec', expect=0)
        check(len(folder.files('*ways_out*')) == 1, folder.files())


@test
def daemon_is_armed_again():
    with Folder() as folder:
        folder.run(PROGRAM, 'daemon', expect=0, HTTP='0', AT_EXIT='heap,cpu', HEAP_RATE=65536)
        ports = folder.wait_for('*.port')
        # The launcher's file is gone or goes; the daemon's comes.
        for _ in range(LONG * 10):
            ports = folder.files('*.port')
            answer = None
            for port in ports:
                try:
                    number = open(os.path.join(folder.path, port)).read().strip()
                    answer = subprocess.run(['curl', '-sf', 'http://127.0.0.1:%s/debug/pprof/heap?debug=1' % number],
                                            capture_output=True, text=True, timeout=LONG)
                except OSError:
                    continue
            if answer is not None and answer.returncode == 0 and 'heap profile' in answer.stdout:
                break
            time.sleep(0.1)
        else:
            raise Refused('the daemon never served', folder.files())
        found = folder.wait_for('*.cpu.pb.gz')
        check(any('busy' in folder.names(name) or 'clock_gettime' in folder.names(name) for name in found), found)


# ---- signal, schedule, server --------------------------------------------------------------------

@test
def by_signal():
    with Folder() as folder:
        process = folder.start(PROGRAM, 'works', AT_EXIT='heap,cpu', SIGNAL='USR2')
        wait_until_handled(process.pid, signal.SIGUSR2)
        for count in (1, 2, 3):
            # A signal that comes while another is answered is lost, so it is sent again.
            while len(folder.files('*.heap*')) < count:
                check(process.poll() is None, 'ended by', process.returncode)
                process.send_signal(signal.SIGUSR2)
                time.sleep(0.3)
        check(process.poll() is None, 'ended by', process.returncode)
        leave_it(process)
        check(any(name.endswith('.heap.2.pb.gz') for name in folder.files()), folder.files())
    with Folder() as folder:
        process = folder.start(PROGRAM, 'works', AT_EXIT='heap', SIGNAL='TERM')
        wait_until_handled(process.pid, signal.SIGTERM)
        time.sleep(1)  # it allocates megabytes, which are sampled
        process.terminate()
        process.communicate(timeout=LONG)
        check(process.returncode == -signal.SIGTERM and len(folder.files()) == 1, process.returncode, folder.files())


@test
def by_schedule():
    with Folder() as folder:
        process = folder.start(PROGRAM, 'works', AT_EXIT='heap', EVERY=1, KEEP=2)
        folder.wait_for('*.heap.4.pb.gz')
        time.sleep(0.2)
        found = folder.files()
        leave_it(process)
        check(len(found) == 2 and found[0].endswith('.heap.3.pb.gz'), found)


@test
def a_stopped_process_makes_up_for_no_turn():
    with Folder() as folder:
        process = folder.start(PROGRAM, 'works', AT_EXIT='heap', EVERY=1, KEEP=1000)
        folder.wait_for('*.heap.2.pb.gz')
        process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        process.send_signal(signal.SIGCONT)
        folder.wait_for('*.pb.gz', len(folder.files()) + 3)
        leave_it(process)
        # Each turn begins after the last one has ended, and not before its second.
        times = sorted(os.stat(os.path.join(folder.path, name)).st_mtime for name in folder.files('*.pb.gz'))
        gaps = [later - sooner for sooner, later in zip(times, times[2:])]
        check(min(gaps) > 0.95, 'three files in', min(gaps), 's')  # mtime is that of a tick


@test
def a_child_leaves_its_parents_files():
    with Folder() as folder:
        def touch(name):
            open(os.path.join(folder.path, name), 'w').close()
        process = folder.start(PROGRAM, 'forks_late', AT_EXIT='heap', EVERY=1, KEEP=2)
        folder.wait_for('*.heap.2.pb.gz')
        touch('fork')
        process.wait(timeout=LONG)
        mine = '*.%d.*' % process.pid
        left = folder.files(mine)
        check(len(left) == 3, left)
        children = []
        for _ in range(LONG * 10):
            children = [name for name in folder.files('*.gz') if name not in left]
            if any(re.search(r'heap\.([4-9]|\d\d)\.', name) for name in children):
                break
            time.sleep(0.1)
        touch('end')
        check(folder.files(mine) == left, 'a child has removed', set(left) - set(folder.files(mine)), children)
        process.communicate(timeout=LONG)


def get(*command):
    done = subprocess.run(['curl', '-sS', '--max-time', str(LONG), *command], capture_output=True, text=True, timeout=LONG + 5)
    check(done.returncode == 0, command, done.stderr)
    return done.stdout


@test
def served():
    with Folder() as folder:
        process = folder.start(PROGRAM, 'works', HTTP='0')
        try:
            port = open(os.path.join(folder.path, folder.wait_for('*.port')[0])).read().strip()
            address = 'http://127.0.0.1:%s/debug/pprof/' % port
            check('main' in get(address + 'goroutine?debug=2'), 'no main')
            for what in ('heap', 'profile?seconds=1'):
                top = subprocess.run(['go', 'tool', 'pprof', '-top', address + what], cwd=folder.path, capture_output=True,
                                     text=True, timeout=LONG, env=dict(os.environ, PPROF_TMPDIR=folder.path))
                check(top.returncode == 0, what, top.stderr)
            # A second process takes the next port.
            second = folder.start(PROGRAM, 'works', HTTP=port)
            try:
                folder.wait_for('*.port', 2)
                mine = open(os.path.join(folder.path, 'whence.%d.port' % second.pid)).read().strip()
                check(int(port) < int(mine) < int(port) + 100, port, mine)
                check('heap' in get('http://127.0.0.1:%s/debug/pprof/' % mine))
            finally:
                leave_it(second)
        finally:
            leave_it(process)
    with Folder() as folder:
        process = folder.start(PROGRAM, 'works', HTTP='0', TOKEN='secret')
        try:
            port = open(os.path.join(folder.path, folder.wait_for('*.port')[0])).read().strip()
            address = 'http://127.0.0.1:%s/debug/pprof/' % port
            code = get('-o', '/dev/null', '-w', '%{http_code}', address)
            check(code == '401', code)
            check('heap' in get('-u', 'me:secret', address))
        finally:
            leave_it(process)


@test
def standard_numbers_stay_free():
    with Folder() as folder:
        process = folder.start('/bin/sh', '-c', 'exec "$0" works <&- >&- 2>&-', PROGRAM, HTTP='0', AT_EXIT='cpu')
        try:
            # The shell has a server, too, before exec.
            for _ in range(LONG * 10):
                names = folder.files('*.port')
                if names and os.readlink('/proc/%d/exe' % process.pid) == PROGRAM:
                    break
                time.sleep(0.1)
            port = open(os.path.join(folder.path, names[0])).read().strip()
            check('heap' in get('http://127.0.0.1:%s/debug/pprof/' % port))
            taken = {number: os.readlink('/proc/%d/fd/%s' % (process.pid, number)) for number in os.listdir('/proc/%d/fd' % process.pid)}
            check(not {'0', '1', '2'} & set(taken), taken)
        finally:
            leave_it(process)


@test
def unix_socket():
    with Folder() as folder:
        path = os.path.join(folder.path, 'at')
        for _ in range(2):  # the second time over the file that a killed process left
            process = folder.start(PROGRAM, 'works', HTTP='unix:at')
            try:
                answer = ''
                for _ in range(LONG * 10):
                    done = subprocess.run(['curl', '-sS', '--unix-socket', path, 'http://localhost/debug/pprof/heap?debug=1'],
                                          capture_output=True, text=True, timeout=LONG)
                    answer = done.stdout
                    if done.returncode == 0:
                        break
                    time.sleep(0.1)
                check('heap profile' in answer, answer, done.stderr)
                check(os.stat(path).st_mode & 0o777 == 0o600, oct(os.stat(path).st_mode))
            finally:
                leave_it(process)


# ---- the library and whence-run ------------------------------------------------------------------

@test
def exports():
    table = subprocess.run(['objdump', '-T', LIBRARY], capture_output=True, text=True, check=True).stdout
    defined = {line.split()[-1] for line in table.splitlines() if re.match(r'[0-9a-f]{16} ', line) and '*UND*' not in line}
    expected = {'_exit', '_Exit', 'quick_exit', 'execve', 'execv', 'execvp', 'execvpe', 'execl', 'execlp', 'execle', 'fexecve',
                'execveat', 'pthread_create', 'malloc', 'free', 'calloc', 'realloc', 'aligned_alloc', 'posix_memalign',
                'memalign', 'valloc', 'pvalloc', 'malloc_usable_size', 'free_sized', 'free_aligned_sized'}
    operators = {name for name in defined if re.match('_Z(nw|na|dl|da)', name)}
    check(len(operators) == 20, sorted(operators))
    check(defined - operators == expected, 'missing', sorted(expected - defined), 'more', sorted(defined - operators - expected))
    newest = max((tuple(map(int, v.split('.'))) for v in re.findall(r'GLIBC_(\d+\.\d+)', table)), default=(0, 0))
    check(newest <= (2, 35), newest)
    needed = subprocess.run(['readelf', '-d', LIBRARY], capture_output=True, text=True, check=True).stdout
    libraries = set(re.findall(r'NEEDED.*\[(.*?)\]', needed))
    check(all(re.match(r'lib[mc]\.so|ld-linux', name) for name in libraries), libraries)


def whence_run(folder, *arguments, **more):
    environment = variables(**more)
    del environment['LD_PRELOAD']
    return subprocess.run([RUN, *arguments], cwd=folder.path, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=LONG)


@test
def whence_run_reports():
    with Folder() as folder:
        done = whence_run(folder, '--heap', '--cpu', PROGRAM, 'busy')
        check(done.returncode == 3 and done.stdout == '', done)
        found = folder.files()
        check(len(found) == 2, found)
        check(all(name in done.stderr for name in found) and 'go tool pprof' in done.stderr, done.stderr)
        print('\n'.join('  ' + line for line in done.stderr.splitlines()))
    with Folder() as folder:
        done = whence_run(folder, '--heap', '--out=%n-%p-%k%s.gz', PROGRAM, 'return')
        check(done.returncode == 3 and len(folder.files('ways_out-*-heap.gz')) == 1, done, folder.files())


@test
def whence_run_passes_signals_on():
    with Folder() as folder:
        environment = variables()
        del environment['LD_PRELOAD']
        process = subprocess.Popen([RUN, '--heap', '--signal=USR2', PROGRAM, 'works'], cwd=folder.path, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until_handled(process.pid, signal.SIGUSR2)
        with open('/proc/%d/task/%d/children' % (process.pid, process.pid)) as file:
            wait_until_handled(int(file.read()), signal.SIGUSR2)
        while not folder.files('*.heap*'):
            check(process.poll() is None, process.returncode)
            process.send_signal(signal.SIGUSR2)
            time.sleep(0.5)
        process.terminate()
        _, said = process.communicate(timeout=LONG)
        check(process.returncode == 128 + signal.SIGTERM, process.returncode, said)


@test
def whence_run_ignores_no_signal():
    # A shell starts what runs in the background with SIGINT and SIGQUIT ignored.
    with Folder() as folder:
        show = ['grep', 'SigIgn', '/proc/self/status']
        for before in ('', 'trap "" INT; ', 'trap "" QUIT; '):
            environment = variables()
            del environment['LD_PRELOAD']
            said = [subprocess.run(['bash', '-c', before + '"$@"', 'bash', *command], cwd=folder.path, env=environment,
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONG).stdout
                    for command in (show, [RUN, '--heap', *show])]
            check(said[0] == said[1] != '', before, said)


@test
def whence_run_refuses():
    with Folder() as folder:
        source = os.path.join(folder.path, 'small.c')
        with open(source, 'w') as file:
            file.write('#include <stdlib.h>\nint main(void) { return malloc(1) == 0; }\n')

        def built(name, *flags):
            path = os.path.join(folder.path, name)
            made = subprocess.run([CXX.replace('g++', 'gcc').replace('clang++', 'clang'), source, '-o', path, *flags],
                                  capture_output=True, text=True)
            return path if made.returncode == 0 else None

        plain = built('plain')
        setuid = os.path.join(folder.path, 'setuid')
        shutil.copy(plain, setuid)
        os.chmod(setuid, 0o4755)
        script = os.path.join(folder.path, 'script')
        with open(script, 'w') as file:
            file.write('#!%s\n' % built('static_interpreter', '-static'))
        os.chmod(script, 0o755)
        own = os.path.join(folder.path, 'own.c')
        with open(own, 'w') as file:
            file.write('#include <stddef.h>\nstatic char pool[1 << 20]; static size_t used;\n'
                       'void* malloc(size_t n) { void* p = pool + used; used += (n + 15) & ~15UL; return p; }\n'
                       'void free(void* p) { (void)p; }\nvoid* calloc(size_t n, size_t m) { return malloc(n * m); }\n'
                       'void* realloc(void* p, size_t n) { char* q = malloc(n); while (p && n-- > 0) q[n] = ((char*)p)[n]; return q; }\n'
                       'int main(void) { return malloc(1) == NULL; }\n')
        own_program = os.path.join(folder.path, 'own')
        subprocess.run(['gcc', '-fno-builtin', own, '-rdynamic', '-o', own_program], check=True)
        other = os.path.join(folder.path, 'other')
        with open(plain, 'rb') as file:
            image = bytearray(file.read())
        image[18] = 243  # EM_RISCV
        with open(other, 'wb') as file:
            file.write(image)
        musl = os.path.join(folder.path, 'musl')
        with open(plain, 'rb') as file:
            image = file.read()
        linker = re.search(rb'/lib\S*/ld-linux[^\0]*\0', image).group(0)
        with open(musl, 'wb') as file:
            file.write(image.replace(linker, b'/lib/ld-musl-x86.so.1'.ljust(len(linker), b'\0'), 1))
        for path in (other, musl):
            os.chmod(path, 0o755)
        cases = [
            (['--heap', built('static', '-static')], 'linked statically'),
            (['--heap', script], 'linked statically'),
            (['--heap', setuid], 'setuid'),
            (['--heap', built('asan', '-fsanitize=address')], 'sanitizer'),
            (['--heap', built('tsan', '-fsanitize=thread')], 'sanitizer'),
            (['--heap', own_program], 'own malloc'),
            (['--heap', other], 'another machine'),
            (['--heap', musl], 'musl'),
            (['--http=0.0.0.0:6060', plain], '--token'),
            (['--heap', '--out=heap.pb.gz', plain], 'lacks %p'),
            (['--heap', '--out=/nowhere/%p', plain], 'folder'),
            (['--every=x', plain], 'not a number'),
            (['--heap', 'no_such_program'], 'not found'),
            (['--cheese', plain], 'no option'),
        ]
        for arguments, word in cases:
            check(arguments[-1] is not None, 'not built', word)
            done = whence_run(folder, *arguments)
            lines = done.stderr.splitlines()
            check(done.returncode == 2 and len(lines) == 1 and word in lines[0], arguments, done.returncode, lines)
            print('  ' + lines[0].replace(folder.path, '.'))
        check(whence_run(folder, '--heap', plain).returncode == 0)
        check(whence_run(folder, '--cpu', own_program).returncode == 0)


def main():
    made = subprocess.run([CXX, '-std=c++20', '-O1', '-g', '-fno-builtin', '-Wall', '-Wextra', '-Werror', os.path.join(HERE, 'ways_out.cpp'), '-o', PROGRAM])
    if made.returncode != 0:
        return 1
    asked = sys.argv[2:]
    failed = []
    for function in tests:
        if asked and function.__name__ not in asked:
            continue
        print(function.__name__, flush=True)
        try:
            function()
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            failed.append(function.__name__)
            print('FAILED %s: %s' % (function.__name__, error), flush=True)
    count = len(asked) if asked else len(tests)
    print('preload: %d of %d tests failed%s' % (len(failed), count, ': ' + ' '.join(failed) if failed else ''))
    return 1 if failed or count == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
