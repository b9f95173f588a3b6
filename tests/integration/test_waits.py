# SPDX-License-Identifier: Apache-2.0
"""What blocked threads wait for, beside what the program measured of itself."""
import os
import subprocess
import tempfile

from profile_pb import Profile
from support import Case, Target, main, need, victim

WAITS = {"wait_sleep": "sleep", "wait_poll": "unix stream", "wait_pipe": "pipe:[",
         "wait_mutex": "futex", "wait_condition": "futex"}


class Waits(Case):
    def file_on_disk(self):
        """A file that can be read past the cache; its removal is seen to."""
        for folder in self.folder, os.path.dirname(victim("shares")):
            fd, path = tempfile.mkstemp(prefix="cprof-test-", dir=folder)
            self.addCleanup(os.unlink, path)
            with os.fdopen(fd, "wb") as file:
                file.write(os.urandom(1 << 20) * 16)
                os.fsync(fd)
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
                return path
            except OSError:
                pass
        self.skipTest("no file system here that reads past its cache")

    def words_of(self, profile, name):
        return {s.labels.get("wait") for s in profile.samples
                if name in s.names() and s.labels["state"] in ("sleeping", "disk")}

    def test_shares_and_labels(self):
        path = self.file_on_disk()
        done = self.cprof("record", "-F", 200, "-o", self.path("o"), "--type=wall,block", "--",
                          victim("shares"), "4", "0", path)
        truth = {words[0]: int(words[2]) for words in map(str.split, done.stdout.splitlines())
                 if words[0].startswith("wait_")}
        self.assertEqual(set(truth), set(WAITS) | {"wait_disk"})
        whole = sum(truth.values())
        # Where the disk is memory, reading it is work of the CPU.
        blocked = Profile(self.path("o.block")).cumulative(1).get("wait_disk", 0)
        on_cpu = blocked < 0.1 * truth["wait_disk"]
        for name in "wall", "block":
            profile = Profile(self.path("o." + name))
            spent = profile.cumulative(1)
            for wait, ns in truth.items():
                # How much of reading is spent on a CPU depends on the disk, and on who else has it.
                if wait == "wait_disk" and name == "block":
                    self.assertLess(spent.get(wait, 0), 1.03 * ns, done.stderr)
                    continue
                self.assertAlmostEqual(spent[wait] / whole, ns / whole, delta=0.02,
                                       msg=(wait, name, done.stderr))
            # Who had blocked just before a stop is not asked what for.
            for wait, word in WAITS.items():
                words = self.words_of(profile, wait) - {None, "poll"}
                self.assertEqual(len(words), 1, (wait, words))
                self.assertTrue(words.pop().startswith(word), wait)
            words = self.words_of(profile, "wait_disk") - {None}
            self.assertEqual(words, set() if on_cpu else {path})

    def test_of_one_socket_and_one_file_of_several(self):
        """The address of the peer; and the word of a call with several descriptors."""
        source = ("import socket, threading, select, os\n"
                  "server = socket.create_server(('127.0.0.1', 0))\n"
                  "port = server.getsockname()[1]\n"
                  "one = socket.create_connection(('127.0.0.1', port)); two, _ = server.accept()\n"
                  "r, w = os.pipe()\n"
                  "def polls():\n p = select.poll(); p.register(r); p.register(one, 1)\n"
                  " p.poll(99999)\n"
                  "for call in (lambda: one.recv(1), server.accept, lambda: os.read(r, 1), polls,\n"
                  "             lambda: os.waitpid(os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '30'),"
                  " 0)):\n threading.Thread(target=call, daemon=True).start()\n"
                  "import time; time.sleep(0.3)\n"
                  "print(port, one.getsockname()[1], flush=True); threading.Event().wait()")
        process = subprocess.Popen(["python3", "-c", source], stdout=subprocess.PIPE, text=True,
                                   start_new_session=True)
        try:
            port, own = process.stdout.readline().split()
            found = {}
            for kind in "wall", "threads":
                profile, _ = self.record(process.pid, f"--type={kind}", seconds="300ms")
                for sample in profile.samples:
                    found.setdefault(sample.labels.get("syscall"), set()).add(
                        sample.labels.get("wait"))
        finally:
            os.killpg(process.pid, 9)
            process.wait()
            process.stdout.close()
        self.assertEqual(found["recvfrom"],
                         {f"tcp 127.0.0.1:{own} to 127.0.0.1:{port}, established"})
        self.assertEqual(found["accept4"], {f"tcp 127.0.0.1:{port}, listening"})
        self.assertEqual(len(found["read"]), 1)
        self.assertTrue(found["read"].pop().startswith("pipe:["))
        self.assertEqual(found["poll"], {"poll"})
        self.assertEqual(found["wait4"], {"child"})
        self.assertEqual(found["futex"], {"futex"})

    def test_programs_of_the_distribution(self):
        need("redis-server", "tail")
        with Target(["redis-server", "--port", "0", "--save", "", "--unixsocket", self.path("s")],
                    wait_for="eady to accept") as target:
            profile, _ = self.record(target.pid, "--type=wall", seconds="500ms")
        self.assertEqual(profile.by_label("wait", 0).keys() - {None}, {"poll", "futex"})
        with open(self.path("watched"), "w") as file:
            file.write("a\n")
        with Target(["tail", "-f", self.path("watched")], wait_for="a") as target:
            profile, _ = self.record(target.pid, "--type=wall", seconds="500ms")
        self.assertEqual(profile.by_label("wait", 0).keys() - {None}, {"poll"})

    def test_pprof_filters_by_them(self):
        with Target([victim("shares"), "60"], wait_for="ready") as target:
            self.record(target.pid, "--type=wall")
        out = self.path("out.pb.gz")
        top = self.pprof("-top", "-cum", "-tagfocus=wait=unix stream", out)
        self.assertIn("wait_poll", top)
        self.assertNotIn("wait_sleep", top)
        top = self.pprof("-top", "-cum", "-tagfocus=syscall=clock_nanosleep", out)
        self.assertIn("wait_sleep", top)
        self.assertNotIn("wait_pipe", top)
        self.assertIn("sleeping", self.pprof("-top", "-cum", "-tagroot=state", out))


if __name__ == "__main__":
    main()
