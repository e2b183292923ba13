#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command of README.md, run as a reader does, from a copy of this tree: `readme.py [FOLDER]`. One bash runs
all blocks marked `bash` command by command, and stops at the first that fails; then what each must show is looked for.

Two things differ from what a reader types: the port is one that is free, and after a command in the background the
script waits for that port. No command is skipped: what installs packages stands in no block."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

import documentation

ROOT = documentation.ROOT
PORT = "6060"
# A part of a command, and what its output must have.
SHOWN = {
    "/profile?seconds": [r"flat +flat%", r"shop::price", r"shop::sell", r"std::__unguarded_partition"],
    "pprof -top http://127.0.0.1:@PORT@/debug/pprof/heap": [r"inuse_space", r"shop::sell"],
    "-tagroot type": [r"\bdouble$"],
    "/block": [r"whence::tracked_mutex::lock", r"shop::sell"],
    "/mutex": [r"shop::sell"],
    "goroutine?debug=2": [r"^goroutine \d+ \[", r"shop::sell", r"^created by main"],
    "pkg-config": [r"-I\S*prefix", r"-pthread"],
}
WAIT = ("python3 -c 'import socket, sys, time\n"
        "for _ in range(300):\n"
        "  try: sys.exit(socket.create_connection((\"127.0.0.1\", @PORT@)).close())\n"
        "  except OSError: time.sleep(0.1)\n"
        "sys.exit(\"nothing listens\")'")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def main():
    text = (ROOT / "README.md").read_text()
    port = free_port()
    commands = [line for block in documentation.code_blocks(text, "bash") for line in block.replace("\\\n", "").splitlines() if line]
    script = ["set -e -o pipefail"]
    for number, command in enumerate(commands):
        command = command.replace(f":{PORT}/", f":{port}/")
        script += [f"echo '@@ {number}'", command]
        if command.endswith("&"):
            script.append(WAIT.replace("@PORT@", port))
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        tree = pathlib.Path(folder) / "whence"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build", ".git", "profiles", "__pycache__"))
        example = tree / "examples" / "quickstart.cpp"
        served = example.read_text().replace("whence::server profiles;", f'whence::server profiles("127.0.0.1", {port});')
        if f", {port})" not in served:
            sys.exit("readme: the quickstart does not begin with a server at its usual port")
        example.write_text(served)
        # Installed programs need not be fast.
        environment = os.environ | {"CXXFLAGS": "-O0", "PPROF_TMPDIR": folder, "GOFLAGS": "",
                                    "HOME": os.environ.get("HOME", folder),
                                    "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count())}
        bash = subprocess.Popen(["bash", "-c", "\n".join(script)], cwd=tree, env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            said = bash.communicate(timeout=540)[0]
        finally:
            try:
                os.killpg(bash.pid, 15)  # the quickstart, if a command before `kill` has failed
            except ProcessLookupError:
                pass
    outputs = re.split(r"^@@ \d+\n", said, flags=re.M)[1:]
    if bash.returncode != 0:
        sys.exit(f"readme: failed: {commands[len(outputs) - 1]}\n{outputs[-1][-4000:]}")
    checks = 0
    wanted = dict(SHOWN)
    # The block after that command shows its output: the functions with a share that every run has.
    rows = re.findall(r"([\d.]+)%\s+(\S+)(?: \(inline\))?$", documentation.code_blocks(text, "text")[0], re.M)
    rows = [name for share, name in rows if float(share) >= 3]
    if len(rows) < 3:
        sys.exit("readme: the output after the first commands shows nothing")
    wanted["/profile?seconds"] = wanted["/profile?seconds"] + [re.escape(r) for r in rows]
    for part, patterns in wanted.items():
        index = [i for i, c in enumerate(commands) if part.replace("@PORT@", PORT) in c]
        if not index:
            sys.exit(f"readme: no command has {part}")
        for pattern in patterns:
            checks += 1
            if not re.search(pattern, outputs[index[0]], re.M):
                sys.exit(f"readme: no /{pattern}/ in: {commands[index[0]]}\n{outputs[index[0]]}")
    print(f"readme: {len(commands)} commands ran, {checks} checks passed")


if __name__ == "__main__":
    main()
