# SPDX-License-Identifier: Apache-2.0
"""cprof report: what it prints, and how it refuses (write_pprof.c has the content)."""
import os
import subprocess

from support import Case, main


class Report(Case):
    def setUp(self):
        super().setUp()
        self.file = self.path("known.pb.gz")
        with open(self.file, "wb") as out:
            subprocess.run([os.environ["WRITE_PPROF"]], stdout=out, check=True, timeout=60)

    def rows(self, text):
        return [line.split(maxsplit=5) for line in text.split("cum%\n", 1)[1].splitlines()]

    def test_table(self):
        text = self.cprof("report", self.file).stdout
        self.assertIn("File: server\nBuild ID: c0ffee0123\nType: cpu\n", text)
        self.assertIn("Duration: 2s, Total samples = 1s (50.00%)\n", text)
        self.assertEqual(self.rows(text), [
            ["700ms", "70.00%", "70.00%", "700ms", "70.00%", "work::spin(int)"],
            ["250ms", "25.00%", "95.00%", "250ms", "25.00%", "[libwork.so.1]"],
            ["50ms", "5.00%", "100.0%", "50ms", "5.00%", "[exited threads]"],
            ["0", "0.00%", "100.0%", "950ms", "95.00%", "main"],
            ["0", "0.00%", "100.0%", "700ms", "70.00%", "work::run()"]])

    def test_rows_type_and_standard_input(self):
        for index in ("samples", "0"):
            with open(self.file, "rb") as file:
                text = self.cprof("report", "-n", 1, "--sample-index", index, "-",
                                  stdin=file).stdout
            self.assertEqual(self.rows(text)[0][0], "70")
            self.assertEqual(len(self.rows(text)), 1)

    def test_a_file_that_pprof_wrote(self):
        other = self.path("other.pb.gz")
        self.pprof("-proto", "-output=" + other, self.file)
        # pprof has demangled and shortened the names, and they stay so.
        rows = self.rows(self.cprof("report", other).stdout)
        self.assertEqual([rows[0][0], rows[0][5]], ["700ms", "work::spin"])

    def test_refusals(self):
        cut = self.path("cut.pb.gz")
        with open(self.file, "rb") as file, open(cut, "wb") as out:
            out.write(file.read()[:-20])
        for args, status, words in (
                ([cut], 2, "ends in the middle"),
                ([self.path("none")], 2, "No such file"),
                ([self.folder], 2, "Is a directory"),
                ([__file__], 2, "no pprof profile"),
                ([], 64, "give one pprof file"),
                ([self.file, self.file], 64, "give one pprof file"),
                (["-n", "x", self.file], 64, "'x'"),
                (["--sample-index", "2", self.file], 64, "Known: samples cpu"),
                (["--bogus"], 64, "bogus")):
            done = self.cprof("report", *args, expect=status)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_a_full_disk_is_said(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([os.environ["CPROF"], "report", self.file], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("No space left", done.stderr)


if __name__ == "__main__":
    main()
