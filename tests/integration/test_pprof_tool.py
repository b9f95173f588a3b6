# SPDX-License-Identifier: Apache-2.0
"""What go tool pprof reads from a file that lib/pprof wrote (write_pprof.c has the content)."""
import os
import subprocess

from support import Case, main


class PprofTool(Case):
    def setUp(self):
        super().setUp()
        self.file = self.path("known.pb.gz")
        with open(self.file, "wb") as out:
            subprocess.run([os.environ["WRITE_PPROF"]], stdout=out, check=True, timeout=60)

    def rows(self, *args):
        """The rows of -top: name → [flat, flat%, sum%, cum, cum%]."""
        text = self.pprof("-top", *args, self.file)
        rows = text.split("cum%\n", 1)[1].strip().splitlines()
        return {" ".join(row.split()[5:]): row.split()[:5] for row in rows}

    def test_raw(self):
        text = self.pprof("-raw", self.file)
        self.assertIn("PeriodType: cpu nanoseconds\nPeriod: 10000000\n", text)
        self.assertIn("Time: 2023-11-14 22:13:20 +0000 UTC\nDuration: 2s\n", text)
        self.assertIn("samples/count cpu/nanoseconds\n", text)
        samples = text.split("cpu/nanoseconds\n", 1)[1].split("Locations\n", 1)[0]
        self.assertEqual([line.strip() for line in samples.splitlines()], [
            "70  700000000: 1 2", "thread:[worker/1]", "request:[4096 bytes]",
            "25  250000000: 3 2", "thread:[grün \ufffd]", "request:[4096 bytes]",
            "5   50000000: 4"])

    def test_locations_and_mappings(self):
        text = self.pprof("-raw", self.file)
        locations, mappings = text.split("Locations\n", 1)[1].split("Mappings\n", 1)
        self.assertEqual([line.strip() for line in locations.splitlines()], [
            "1: 0x400200 M=1 work::spin /src/server.cc:22 s=20(_ZN4work4spinEi)",
            "work::run /src/server.cc:33 s=30(_ZN4work3runEv)",
            "2: 0x400100 M=1 main /src/server.cc:12 s=10",
            "3: 0x7f0000000123 M=2",
            "4: 0x0 M=1 [exited threads] :0 s=0"])
        self.assertEqual([line.strip() for line in mappings.splitlines()], [
            "1: 0x400000/0x410000/0x2000 /opt/bin/server c0ffee0123 [FN][FL][LN][IN]",
            "2: 0x7f0000000000/0x7f0000010000/0x2000 /usr/lib/libwork.so.1 ab"])

    def test_top(self):
        text = self.pprof("-top", self.file)
        self.assertIn("File: server\nBuild ID: c0ffee0123\n", text)
        self.assertIn("Type: cpu\n", text)
        self.assertRegex(text, r"Duration: 2s, Total samples = 1000ms \(50\.00%\)")
        rows = self.rows()
        self.assertEqual(rows["work::spin (inline)"][:2], ["700ms", "70.00%"])
        self.assertEqual(rows["work::run"][3:], ["700ms", "70.00%"])
        self.assertEqual(rows["main"][3:], ["950ms", "95.00%"])
        self.assertEqual(rows["[libwork.so.1]"][:2], ["250ms", "25.00%"])
        self.assertEqual(rows["[exited threads]"][:2], ["50ms", "5.00%"])

    def test_sample_index_and_focus(self):
        self.assertEqual(self.rows("-sample_index=samples")["main"][3], "95")
        only = self.rows("-sample_index=samples", "-tagfocus=thread=worker/1")
        self.assertEqual(only["main"][3], "70")
        self.assertNotIn("[libwork.so.1]", only)

    def test_comments_and_tags(self):
        self.assertEqual(self.pprof("-comments", self.file).strip(), "dropped: 3 snapshots")
        tags = self.pprof("-tags", self.file)
        self.assertRegex(tags, r"700\.0ms \(73\.68%\): worker/1")
        self.assertRegex(tags, r"950\.0ms \( *100%\): 4kB")

    def test_merge_and_difference(self):
        merged = self.path("merged.pb.gz")
        self.pprof("-proto", "-output=" + merged, self.file, self.file)
        self.assertRegex(self.pprof("-raw", merged), r"140 +1400000000: 1 2")
        nothing = self.pprof("-top", "-diff_base=" + self.file, self.file)
        self.assertIn("Showing nodes accounting for 0, 0% of 1s total", nothing)


if __name__ == "__main__":
    main()
