# SPDX-License-Identifier: Apache-2.0
"""The completion scripts in real shells on a terminal: what Tab makes of a line."""
import os
import pty
import re
import select
import subprocess
import time

from support import CPROF, Case, main, need


class Shell:
    """A shell on a terminal, with the completion of cprof."""

    def __init__(self, argv, script, folder):
        self.folder = folder
        env = {"PATH": os.path.dirname(os.path.abspath(CPROF)) + ":/usr/bin:/bin", "TERM": "dumb",
               "HOME": folder, "PS1": "> ", "LC_ALL": "C.UTF-8"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(argv[0], argv, env)
        self.run(script)

    def read_until(self, pattern, seconds=10):
        text, end = "", time.monotonic() + seconds
        while not re.search(pattern, text):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{pattern!r} did not come; got {text!r}")
            text += os.read(self.fd, 65536).decode(errors="replace")
        return text

    def run(self, line):
        # The shell prints the end in another form than it is typed in.
        os.write(self.fd, f"{line}; echo e''nd\n".encode())
        self.read_until("\r\nend\r\n")

    def complete(self, line):
        """What is in the line after one Tab, put into a file by the shell itself."""
        path = os.path.join(self.folder, "line")
        # Behind the Tab, Ctrl-A: to the beginning, where a command is put before all words.
        os.write(self.fd, f"cprof {line}\t\x01args \n".encode())
        self.run("true")
        with open(path) as file:
            return file.read().split("\n")[1:-1]

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class Completion(Case):
    def lines(self, argv, setup, script):
        with open(self.path("script"), "w") as file:
            file.write(self.cprof("completion", script).stdout)
        os.mkdir(self.path("files"))
        for name in "profile.pb.gz", "other.txt":
            open(os.path.join(self.path("files"), name), "w").close()
        shell = Shell(argv, f"{setup} source ./script; "
                      "args() { printf '%s\\n' \"$@\" >line; }", self.folder)
        try:
            self.assertEqual(shell.complete("rec"), ["record"])
            self.assertEqual(shell.complete("record --exit-s"), ["record", "--exit-status"])
            self.assertEqual(shell.complete("record --type w"), ["record", "--type", "wall"])
            self.assertEqual(shell.complete("record --type=w"), ["record", "--type=wall"])
            self.assertEqual(shell.complete("record --unwinder=li"),
                             ["record", "--unwinder=libunwind"])
            self.assertEqual(shell.complete("report files/pro"),
                             ["report", "files/profile.pb.gz"])
            self.assertEqual(shell.complete("record -o files/oth"),
                             ["record", "-o", "files/other.txt"])
            self.assertEqual(shell.complete(f"record -p {os.getpid()}"),
                             ["record", "-p", str(os.getpid())])
            self.assertEqual(shell.complete("top --by-t"), ["top", "--by-thread"])
            self.assertEqual(shell.complete("top --sort=mo"), ["top", "--sort=module"])
            self.assertEqual(shell.complete("completion z"), ["completion", "zsh"])
        finally:
            shell.close()

    def test_bash(self):
        self.lines(["bash", "--norc", "--noprofile"], "", "bash")

    def test_zsh(self):
        need("zsh")
        self.lines(["zsh", "-f"], "autoload -U compinit; compinit -D;", "zsh")

    def test_scripts_are_correct(self):
        for shell in "bash", "zsh":
            need(shell)
            script = self.cprof("completion", shell).stdout
            subprocess.run([shell, "-n"], input=script, text=True, check=True)

    def test_bad_input(self):
        for args in [], ["fish"], ["bash", "zsh"]:
            done = self.cprof("completion", *args, expect=64)
            self.assertIn("bash or zsh", done.stderr)
        with open("/dev/full", "w") as full:
            done = subprocess.run([CPROF, "completion", "bash"], stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot write", done.stderr)


if __name__ == "__main__":
    main()
