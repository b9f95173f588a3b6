# SPDX-License-Identifier: Apache-2.0
"""--children follows processes however they were started; without it they run untouched."""
import re
import resource
import subprocess
import sys

from profile_pb import Profile
from support import CPROF, Case, main, need, victim


class Children(Case):
    def test_a_family(self):
        profile, done = self.run_command([victim("family"), "2"], "--children", "--max-overhead=0",
                                         hz=500)
        total = int(re.search(r"total (\d+)", done.stdout)[1])
        self.assertAlmostEqual(profile.total(1) / total, 1, delta=0.03, msg=done.stderr)
        seen = profile.cumulative()
        # Each computes until it has used that much. No shares of the total: starting processes has
        # one of its own, which is large beside a recorder that is slow to find them. Of a process'
        # beginning and end a few ticks, of 2 ms, are charged to what is met next, or to nobody.
        for name, time in (("parent_computes", 0.5), ("spawned_computes", 0.5),
                           ("child_computes", 0.5 + 0.25)):
            self.assertAlmostEqual(seen[name] / 1e9, time, delta=0.03, msg=name + done.stderr)
        pids = profile.by_label("pid", 1)
        self.assertGreaterEqual(len(pids), 4)
        # "exe" is what the kernel calls a program that is started as /proc/self/exe.
        self.assertEqual(set(profile.by_label("process", 1)) - {"true"}, {"family", "exe"})
        # Three of the processes run the same file: one mapping in the profile.
        files = [m.file for m in profile.mappings if m.file.endswith("/family")]
        self.assertEqual(len(files), 1)

    def test_without_it_children_are_left_alone(self):
        profile, done = self.run_command([victim("family"), "1"], hz=500)
        seen = profile.cumulative()
        self.assertIn("parent_computes", seen)
        self.assertNotIn("child_computes", seen)
        self.assertNotIn("spawned_computes", seen)

    def test_a_young_pid_namespace(self):
        # As in a container: no id has been given out twice yet.
        need("unshare")
        alone = ["unshare", "--pid", "--fork", "--mount-proc"]
        if subprocess.run([*alone, "true"], capture_output=True).returncode:
            self.skipTest("no new pid namespace here")
        out = self.path("out.pb.gz")
        done = subprocess.run([*alone, CPROF, "record", "--children", "-F", "500", "-o", out, "--",
                               victim("family"), "1"], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("child_computes", Profile(out).cumulative())

    def with_files(self, soft, hard, argv, *args):
        out = self.path("out.pb.gz")
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        done = subprocess.run([CPROF, "record", "--children", "-F", "200", "-o", out, *args, "--",
                               *argv], preexec_fn=limit, capture_output=True, text=True,
                              timeout=120)
        return Profile(out), done

    def test_more_children_than_descriptors(self):
        family = [sys.executable, "-c", "import os, time\n"
                  "kids = []\n"
                  "for i in range(60):\n"
                  "    kids.append(os.fork())\n"
                  "    if not kids[-1]:\n"
                  "        end = time.process_time() + .01\n"
                  "        while time.process_time() < end: pass\n"
                  "        time.sleep(1); os._exit(0)\n"
                  "for kid in kids: os.waitpid(kid, 0)\n"]
        profile, done = self.with_files(64, 64, family)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"[1-9]\d* child processes were left out")
        self.assertNotIn("ended early", done.stderr)
        # What the others used is known once they are gone.
        self.assertIn("[exited processes]", profile.cumulative())
        self.assertGreater(profile.total(1), 0.6e9)

    def test_a_command_has_the_limits_of_before(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        profile, done = self.with_files(100, hard, ["sh", "-c", "ulimit -Sn"])
        self.assertEqual(done.stdout, "100\n")

    def test_waiting_belongs_to_the_program_before_the_execve(self):
        profile, done = self.run_command(["sh", "-c", "sleep 0.5; exec sleep 0.5"], "--children",
                                         "--type=wall")
        named = profile.by_label("process", 1)
        self.assertEqual(set(named) - {"sh", "sleep"}, set())
        self.assertAlmostEqual(sum(named.values()) / profile.total(1), 1, delta=0.001)
        self.assertGreater(named["sh"], 0.4e9, named)

    def test_a_compiler_below_its_driver(self):
        need("gcc")
        source = self.path("x.c")
        with open(source, "w") as file:
            for i in range(3000):
                file.write(f"int f{i}(int x) {{ int a[{i % 50 + 1}]; for (int i = 0; i < x; i++) "
                           f"a[i % {i % 50 + 1}] = x * i; return a[0]; }}\n")
        profile, done = self.run_command(["gcc", "-O2", "-c", source, "-o", self.path("x.o")],
                                         "--children", hz=500)
        processes = profile.by_label("process", 1)
        self.assertGreater(processes["cc1"], 0.5 * profile.total(1), done.stderr)
        self.assertIn("as", processes)
        complete = float(re.search(r"stacks   ([\d.]+)% complete", done.stderr)[1])
        self.assertGreater(complete, 97, done.stderr)


if __name__ == "__main__":
    main()
