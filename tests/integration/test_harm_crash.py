# SPDX-License-Identifier: Apache-2.0
"""The end of a program that is sampled at 1000 Hz: exit status, and core dump, of an unsampled one.
HARM_ROUNDS: the long form."""
import os
import random
import re
import resource
import subprocess
import sys
import time

from harm import Recorder
from support import CPROF, Case, Target, main, need, victim

ROUNDS = int(os.environ.get("HARM_ROUNDS", "16"))
KINDS = ("segv", "int3", "abort", "thread", "return", "exit")


def unlimited():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Crash(Case):
    def crash(self, kind, way=None, **options):
        """Wait status of one that ends so, under cprof if there is a way, and what cprof said."""
        said = ""
        with Target([victim("crash"), kind], wait_for="ready", stdin=subprocess.PIPE,
                    cwd=self.folder, **options) as target:
            if way is not None:
                cprof = Recorder(target.pid, *way)
                time.sleep(random.uniform(0, 0.02))
            target.process.stdin.write(b"\n")
            target.process.stdin.close()
            status = os.waitpid(target.pid, 0)[1]
            target.process.returncode = status
            if way is not None:
                said = cprof.end(signal=0)
        return status, said

    def test_exit_status(self):
        alone = {kind: self.crash(kind)[0] for kind in KINDS}
        print(alone, file=sys.stderr)
        self.assertEqual(os.WEXITSTATUS(alone["return"]), 7)
        for i in range(ROUNDS):
            kind = KINDS[i % len(KINDS)]
            status, _ = self.crash(kind, [["--type=cpu"], ["--type=wall"]][i // len(KINDS) % 2])
            self.assertEqual(status, alone[kind], kind)

    def test_exit_status_of_a_command(self):
        for kind, expect in (("segv", 139), ("int3", 133), ("abort", 134), ("return", 7)):
            done = self.cprof("record", "-F", "1000", "-o", self.path("o"), "--exit-status", "--",
                              victim("crash"), kind, input="\n", expect=expect)
            self.assertEqual(done.stdout, "ready\n")

    def notes(self):
        """Threads, signals and mapped files of the core file, which is removed."""
        path = self.path("core")
        if not os.path.exists(path):
            found = [name for name in os.listdir(self.folder) if name.startswith("core.")]
            path = self.path(found[0])
        text = subprocess.run(["readelf", "-nlW", path], capture_output=True, text=True).stdout
        os.unlink(path)
        return (len(re.findall("NT_PRSTATUS", text)), len(re.findall("NT_SIGINFO", text)),
                len(re.findall(r"^\s+LOAD ", text, re.M)),
                sorted(re.findall(r"^\s+(/\S+)$", text, re.M)))

    def test_core_dump(self):
        need("readelf")
        with open("/proc/sys/kernel/core_pattern") as file:
            pattern = file.read().strip()
        if not pattern.startswith("core"):
            self.skipTest(f"core files go elsewhere: {pattern}")
        for kind in "segv", "int3", "abort", "thread":
            alone = self.crash(kind, preexec_fn=unlimited)[0], self.notes()
            self.assertTrue(os.WCOREDUMP(alone[0]))
            self.assertGreaterEqual(alone[1][0], 4)
            for _ in range(max(2, ROUNDS // 20)):
                status, said = self.crash(kind, [], preexec_fn=unlimited)
                self.assertEqual((status, self.notes()), alone, said)
            print(kind, alone[0], alone[1][:3], "same under cprof", file=sys.stderr)


if __name__ == "__main__":
    main()
