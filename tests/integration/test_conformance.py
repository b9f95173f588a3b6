# SPDX-License-Identifier: Apache-2.0
"""What a pprof file must satisfy, on files that cprof record wrote: ids, references, mappings,
flags, addresses, names, labels; and what go tool pprof does with two of them."""
import os
import re
import subprocess

from support import Case, Profile, Target, main, need, victim


class Conformance(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.profiles = {}

    def recorded(self, name):
        """A profile of a victim, taken once, with the maps it had meanwhile."""
        if name not in self.profiles:
            argv = {"inline-gcc": ["60"], "phases": ["kernel", "2", "60"],
                    "chain-gcc-o2": ["plain"]}[name]
            ready = None if name == "phases" else "ready"
            with Target([victim(name), *argv], wait_for=ready) as target:
                profile, _ = self.record(target.pid, seconds="1s", hz=500)
                with open(f"/proc/{target.pid}/maps") as file:
                    maps = file.read()
            type(self).profiles[name] = profile, maps
        return self.profiles[name]

    def each(self):
        for name in "inline-gcc", "phases", "chain-gcc-o2":
            yield self.recorded(name)[0]

    def test_strings(self):
        for profile in self.each():
            self.assertEqual(profile.strings[0], "")
            self.assertEqual(len(profile.strings), len(set(profile.strings)))

    def test_ids_are_sequential_and_references_hold(self):
        for profile in self.each():
            self.assertEqual([m.id for m in profile.mappings],
                             list(range(1, len(profile.mappings) + 1)))
            self.assertEqual([loc.id for loc in profile.locations],
                             list(range(1, len(profile.locations) + 1)))
            self.assertEqual(list(profile.functions), list(range(1, len(profile.functions) + 1)))
            for loc in profile.locations:
                self.assertIsNotNone(loc.mapping)

    def test_types_and_times(self):
        for profile in self.each():
            self.assertEqual(profile.sample_types, [("samples", "count"), ("cpu", "nanoseconds")])
            self.assertEqual(profile.period_type, ("cpu", "nanoseconds"))
            self.assertEqual(profile.period, 2000000)
            self.assertEqual(len(profile.time_nanos), 1)
            self.assertAlmostEqual(profile.duration_nanos / 1e9, 1, delta=0.2)
            for sample in profile.samples:
                self.assertEqual(len(sample.values), 2)
                self.assertTrue(sample.locations)

    def test_mappings(self):
        for name in "inline-gcc", "phases", "chain-gcc-o2":
            profile, maps = self.recorded(name)
            self.assertEqual(profile.mappings[0].file, victim(name))
            for m in profile.mappings:
                if not m.file.startswith("/") or m.file.startswith("//"):
                    continue
                line = [l for l in maps.splitlines() if l.startswith(f"{m.start:x}-{m.limit:x} ")]
                self.assertEqual(len(line), 1, m)
                self.assertEqual(int(line[0].split()[2], 16), m.offset)
                self.assertTrue(line[0].endswith(m.file))
                notes = subprocess.run(["readelf", "-n", m.file], capture_output=True,
                                       text=True).stdout
                build_id = re.search(r"Build ID: ([0-9a-f]+)", notes)
                self.assertEqual(m.build_id, build_id[1] if build_id else "")

    def test_flags_claim_no_more_than_there_is(self):
        for profile in self.each():
            for m in profile.mappings:
                used = [loc for loc in profile.locations if loc.mapping is m]
                if not used:
                    continue
                self.assertEqual(m.flags["functions"], all(loc.lines for loc in used), m)
                lines = [line for loc in used for line in loc.lines]
                if m.flags["filenames"] and not m.file.startswith("["):
                    self.assertTrue(all(line.file for line in lines))
                if m.flags["line_numbers"] and not m.file.startswith("["):
                    self.assertTrue(all(line.line for line in lines))

    def test_addresses(self):
        """In their mapping; a caller's is inside the call instruction, one before its return."""
        profile, _ = self.recorded("chain-gcc-o2")
        for loc in profile.locations:
            if loc.address and not loc.mapping.file.startswith("[unknown"):
                self.assertTrue(loc.mapping.start <= loc.address < loc.mapping.limit)
        code = subprocess.run(["objdump", "-d", victim("chain-gcc-o2")], capture_output=True,
                              text=True).stdout
        after_call = set()
        lines = [l for l in code.splitlines() if re.match(r"\s+[0-9a-f]+:\t", l)]
        for one, following in zip(lines, lines[1:]):
            if "\tcall" in one:
                after_call.add(int(following.split(":")[0], 16))
        # The text's offset equals its address in this file, as gcc links it.
        callers = set()
        for sample in profile.samples:
            for loc in sample.locations[1:]:
                if loc.mapping is profile.mappings[0]:
                    svma = loc.address - loc.mapping.start + loc.mapping.offset
                    self.assertIn(svma + 1, after_call)
                    callers.add(loc.lines[0].system_name)
        # It says that it is ready from within spin().
        self.assertEqual(callers - {"spin"}, {"chain_c", "chain_b", "chain_a", "main", "_start"})

    def test_names_are_mangled_and_inlined_calls_are_lines(self):
        profile, _ = self.recorded("inline-gcc")
        for function in profile.functions.values():
            self.assertEqual(function.get(2), function.get(3))
        mangled = [f for f in profile.functions.values()
                   if profile.strings[f[3]].startswith("_ZN")]
        self.assertGreater(len(mangled), 10)
        several = [loc for loc in profile.locations if len(loc.lines) > 1]
        self.assertGreater(len(several), 10)
        # Innermost first: the last line is a real function, which the symbol table has.
        table = subprocess.run(["nm", victim("inline-gcc")], capture_output=True, text=True).stdout
        # Without the suffix of a clone, .isra.0 for instance.
        real = {line.split()[-1].split(".")[0] for line in table.splitlines()}
        for loc in several:
            if loc.mapping is profile.mappings[0]:
                self.assertIn(loc.lines[-1].system_name.split(".")[0], real)

    def test_labels_are_text_and_not_reserved(self):
        for profile in self.each():
            for sample in profile.samples:
                for key, value in sample.labels.items():
                    self.assertIsInstance(value, str)
                    self.assertFalse(key.startswith("pprof::"))

    def test_comments_tell_how_it_was_made(self):
        profile, _ = self.recorded("inline-gcc")
        text = "\n".join(profile.comments)
        for word in ("cprof 0", "command: cprof record -p", "rate: 500 Hz", "pause per stop: p50",
                     "losses: 0 dropped", "stacks: "):
            self.assertIn(word, text)

    def vdso_names(self, pid):
        """A function: address in the vDSO of a process → the names that are right for it."""
        with open(f"/proc/{pid}/maps") as file:
            line = next(l for l in file if l.endswith("[vdso]\n"))
        start, end = (int(word, 16) for word in line.split()[0].split("-"))
        with open(f"/proc/{pid}/mem", "rb") as file, open(self.path("vdso"), "wb") as copy:
            file.seek(start)
            copy.write(file.read(end - start))
        say = lambda option: subprocess.run(["readelf", option, self.path("vdso")], check=True,
                                            capture_output=True, text=True).stdout
        symbols = [(int(addr, 16), int(size), name) for addr, size, name in re.findall(
            r": ([0-9a-f]+) +(\d+) FUNC .* ([^ @\n]+)", say("-sW"))]
        functions = [(int(a, 16), int(b, 16)) for a, b in
                     re.findall(r" pc=([0-9a-f]+)\.\.([0-9a-f]+)", say("-wf"))]
        self.assertTrue(symbols and functions)

        def names(addr):
            at = addr - start
            return {name for a, size, name in symbols if a <= at < a + size} or \
                {f"[vdso]+{a:#x}" for a, b in functions if a <= at < b} or {"[vdso]"}
        return names

    def test_vdso_is_named_by_us(self):
        """Nobody else can: there is no file. By its symbols; it has none for what its functions
        call, the clock of a virtual machine for one: that goes by where it begins."""
        source = "import time\nt = time.time\nwhile True: t()"
        with Target(["/usr/bin/python3", "-c", source]) as target:
            profile, _ = self.record(target.pid, seconds="1s", hz=500)
            right = self.vdso_names(target.pid)
        vdso = [loc for loc in profile.locations if loc.mapping.file == "[vdso]"]
        self.assertTrue(vdso)
        for loc in vdso:
            self.assertEqual(len(loc.lines), 1, hex(loc.address))
            self.assertIn(loc.lines[0].system_name, right(loc.address))

    def test_empty_profile_is_whole(self):
        with Target(["sleep", "60"]) as target:
            profile, _ = self.record(target.pid, seconds="200ms")
        self.assertTrue(profile.mappings[0].file.endswith("/sleep"))
        self.assertEqual(profile.sample_types, [("samples", "count"), ("cpu", "nanoseconds")])
        self.assertEqual(len(profile.time_nanos), 1)

    def test_deleted_program(self):
        program = self.path("gone")
        subprocess.run(["cp", victim("chain-gcc-o2"), program], check=True)
        with Target([program, "plain"], wait_for="ready") as target:
            os.unlink(program)
            profile, _ = self.record(target.pid, seconds="300ms")
        self.assertEqual(profile.mappings[0].file, program)
        self.assertIn("chain_a", profile.cumulative())

    def test_two_profiles_merge_and_subtract(self):
        need("go")
        with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
            for name in "a", "b":
                self.cprof("record", "-p", target.pid, "-d", "500ms", "-o", self.path(name))
        merged = self.pprof("-top", self.path("a"), self.path("b"))
        total = float(re.search(r"Total samples = ([\d.]+)", merged)[1])
        each = sum(Profile(self.path(n)).total(1) for n in "ab")
        self.assertIn("chain_a", merged)
        self.assertAlmostEqual(total, each / 1e6 if total > 10 else each / 1e9, delta=total / 50)
        self.assertIn("flat%", self.pprof("-top", "-base", self.path("a"), self.path("b")))


if __name__ == "__main__":
    main()
