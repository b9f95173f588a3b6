# SPDX-License-Identifier: Apache-2.0
"""--children follows processes however they were started; without it they run untouched."""
import re

from support import Case, main, need, victim


class Children(Case):
    def test_a_family(self):
        profile, done = self.run_command([victim("family"), "2"], "--children", hz=500)
        total = int(re.search(r"total (\d+)", done.stdout)[1])
        self.assertAlmostEqual(profile.total(1) / total, 1, delta=0.03, msg=done.stderr)
        seen = profile.cumulative()
        for name, share in (("parent_computes", 2), ("spawned_computes", 2),
                            ("child_computes", 3)):
            self.assertAlmostEqual(seen[name] / total, share / 7, delta=0.03, msg=done.stderr)
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
