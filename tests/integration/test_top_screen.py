# SPDX-License-Identifier: Apache-2.0
"""cprof top on a real terminal: keys, windows of all sizes, and that the terminal is given back."""
import os
import re
import signal
import sys
import time

from support import CPROF, Case, Target, main, need, victim, wait_for_text
from top_screen import Screen

COLOUR = re.compile(r"\x1b\[[\d;]*3[1-7]m")


class ScreenCase(Case):
    def setUp(self):
        super().setUp()
        need("tmux")
        self.screens = 0

    def screen(self, **options):
        self.screens += 1
        folder = self.path(f"screen-{self.screens}")
        os.mkdir(folder)
        screen = Screen(folder, **options)
        self.addCleanup(screen.close)
        return screen

    def target(self, *argv, wait_for="ready"):
        target = Target(argv or [victim("shares"), "300", "2"], wait_for=wait_for)
        self.addCleanup(target.__exit__)
        return target

    def top(self, target, *args, size=(120, 24), **env):
        """A screen with the table on it."""
        screen = self.screen(size=size)
        screen.top("-p", target.pid, "--interval=300ms", *args, **env)
        if size[0] > 60 and size[1] > 8:
            screen.wait_for_rows()
        return screen

    def assert_harmless(self, target):
        self.assertIn(target.state(), "RS")
        with open(f"/proc/{target.pid}/status") as file:
            self.assertIn("TracerPid:\t0\n", file.read())

    def assert_given_back(self, screen):
        """Modes, the screen that was there before, and the cursor."""
        screen.read("done")
        self.assertEqual(screen.read("after"), screen.read("before"))
        self.assertEqual(screen.flag("alternate_on"), "0")
        self.assertEqual(screen.flag("cursor_flag"), "1")


class Keys(ScreenCase):
    def test_the_table(self):
        target = self.target()
        screen = self.top(target)
        self.assertEqual(screen.flag("alternate_on"), "1")
        self.assertEqual(screen.flag("cursor_flag"), "0")
        screen.wait(r"samples [1-9].*in all")
        screen.wait(r" compute ")
        table = screen.table()
        self.assertEqual((table.pid, table.name, table.type), (target.pid, "shares", "cpu"))
        self.assertEqual(table.threads, 10)
        self.assertGreater(table.row("compute").total_since, 50)
        first = table.seconds
        screen.until(lambda: screen.table().seconds >= first + 0.5, "the next table")
        screen.keys("q")
        self.assertEqual(screen.read("done"), "0")
        self.assert_harmless(target)

    def test_types_and_threads(self):
        target = self.target()
        screen = self.top(target, size=(120, 100))
        screen.keys("w")
        screen.wait(r"type wall")
        screen.wait(r"^ +[\d.]+ +20\.\d .* parked")
        screen.keys("t")
        screen.wait(r"THREAD +FUNCTION")
        screen.wait(r"^ .* shares \d+ +parked")
        parked = {match[1] for line in screen.lines()
                  if (match := re.search(r" shares (\d+) +parked", line))}
        self.assertEqual(len(parked), 2)
        screen.keys("t")
        screen.until(lambda: "THREAD" not in screen.capture(), "one row for all threads")
        screen.keys("b")
        screen.wait(r"not measured; name it with --type")
        self.assertEqual(screen.table().type, "wall")
        screen.keys("c")
        screen.wait(r"type cpu")
        screen.until(lambda: "parked" not in screen.capture(), "CPU time only")

    def test_search(self):
        screen = self.top(self.target(), "--type=wall")
        screen.wait("parked")
        screen.keys("/", "W", "A", "I", "T", "x")
        screen.wait(r"^search: WAITx_")
        screen.wait("nothing is called that")
        screen.keys("BSpace", "Enter")
        screen.wait(r"^search: WAIT  \(Esc: all\)")
        screen.wait("wait_poll")
        rows = screen.table().rows
        self.assertGreater(len(rows), 3)
        for row in rows:
            self.assertIn("wait", row.text.lower())
        # Later tables keep to it.
        seconds = screen.table().seconds
        screen.until(lambda: screen.table().seconds > seconds + 0.5, "another table")
        self.assertNotIn("parked", screen.capture())
        screen.keys("Escape")
        screen.wait("parked")
        # q is a letter here, and does not quit.
        screen.keys("/", "q")
        screen.wait(r"^search: q_")
        screen.keys("Escape")
        screen.wait(r"^h help")

    def test_sort(self):
        screen = self.top(self.target(), "--type=wall")
        screen.wait("parked")
        for key, value in (("n", lambda r: r.text.split()[0]), ("2", lambda r: -r.total_last),
                           ("4", lambda r: -r.total_seconds), ("3", lambda r: -r.self_seconds),
                           ("1", lambda r: -r.self_last)):
            screen.keys(key)

            def is_sorted():
                values = [value(row) for row in screen.table().rows]
                return len(values) > 5 and values == sorted(values)

            screen.until(is_sorted, f"order by {key}")
        screen.keys("i")
        screen.until(lambda: (rows := screen.table().rows) and
                     rows[0].self_last <= rows[-1].self_last and
                     [r.self_last for r in rows] == sorted(r.self_last for r in rows),
                     "the order turned round")
        screen.keys("i", ">")
        screen.until(lambda: (v := [-r.total_last for r in screen.table().rows]) == sorted(v),
                     "order by the column to the right")

    def test_pause_and_reset(self):
        screen = self.top(self.target())
        screen.keys("Space")
        screen.wait(r"  paused$")
        before = screen.lines()
        time.sleep(1)
        self.assertEqual(screen.lines(), before)
        screen.keys("Space")
        screen.until(lambda: "paused" not in screen.capture(), "the end of the pause")
        screen.until(lambda: screen.table().seconds > 1, "a second")
        seconds = screen.table().seconds
        screen.keys("r")
        screen.wait("since reset")
        screen.until(lambda: 0 < screen.table().seconds < seconds, "a new start")
        table = screen.table()
        self.assertLess(sum(r.self_seconds for r in table.rows), seconds)

    def test_moving(self):
        screen = self.top(self.target(), "--type=wall", size=(120, 12))
        screen.until(lambda: len(screen.table().rows) == 7, "a full window")

        def bar():
            return [line - 4 for line in screen.bar() if line > 3]

        screen.until(lambda: bar() == [0], "the bar in the first row")
        screen.keys("Down", "j")
        screen.until(lambda: bar() == [2], "the bar in the third row")
        screen.keys("Up")
        screen.until(lambda: bar() == [1], "the bar in the second row")
        screen.keys("n")
        screen.until(lambda: (v := [r.text for r in screen.table().rows]) == sorted(v), "names")
        screen.keys("Home")
        names = [row.text for row in screen.table().rows]
        screen.keys("NPage")
        screen.until(lambda: not set(names[:1]) & {r.text for r in screen.table().rows},
                     "the next page")
        screen.keys("End")
        screen.until(lambda: bar() == [6], "the bar in the last row")
        screen.keys("Home")
        screen.until(lambda: bar() == [0] and screen.table().rows[0].text == names[0], "the top")
        long = screen.table().rows[0].text.split()[0]
        screen.keys("Right")
        screen.until(lambda: not screen.table().rows[0].text.startswith(long), "names moved")
        screen.keys("Left")
        screen.until(lambda: screen.table().rows[0].text.startswith(long), "names moved back")

    def test_help(self):
        screen = self.top(self.target())
        screen.keys("h")
        screen.wait("^Keys of cprof top")
        text = screen.capture()
        for key in "q", "space", "r", "t", "c w b", "/", "1 2", "3 4", "i":
            self.assertRegex(text, rf"(?m)^  {re.escape(key)} ")
        screen.keys("q")
        screen.wait("^cprof top: ")
        self.assertFalse(os.path.exists(os.path.join(screen.folder, "done")))


class Windows(ScreenCase):
    def test_all_sizes(self):
        target = self.target()
        screen = self.top(target, "--type=wall,cpu")
        for width, height in ((60, 12), (20, 5), (10, 3), (2, 2), (1, 1), (40, 1), (300, 4),
                              (250, 100), (80, 24)):
            screen.resize(width, height)
            time.sleep(0.5)
            lines = screen.lines()
            self.assertLessEqual(len(lines), height)
            if height >= 3 and width >= 20:
                self.assertTrue(lines[0].startswith("cprof top: shares"[:width]), lines)
            if height == 100:
                self.assertIn("shares.c", screen.capture())
                screen.wait(r"^ .* parked +shares +shares\.c$")
            if (width, height) == (60, 12):
                # The times go first, the functions stay.
                self.assertIn("FUNCTION", lines[3])
                self.assertNotIn("MODULE", lines[3])
            if height == 5:
                self.assertRegex(screen.capture(), r"(?m)^ +[\d.]+ ")
        screen.wait("parked")
        screen.keys("q")
        self.assertEqual(screen.read("done"), "0")

    def test_wide_characters(self):
        """A name of ten columns and five characters moves nothing."""
        code = ("import threading\n"
                "open('/proc/self/comm', 'w').write('\u6f22\u5b57\u540d\u524d\u3059')\n"
                "def spin():\n while True: pass\n"
                "threading.Thread(target=spin).start()\n"
                "print('ready', flush=True)\nspin()\n")
        target = self.target(sys.executable, "-c", code)
        screen = self.top(target, "--by-thread", "--type=wall")
        screen.wait("\u6f22\u5b57\u540d\u524d\u3059")
        title = next(line for line in screen.lines() if "FUNCTION" in line)
        column = title.index("FUNCTION")
        for line in screen.lines()[4:-1]:
            if "\u6f22" in line:
                # tmux's text has one character for two columns.
                self.assertNotEqual(line[column - 5], " ", line)
                self.assertEqual(line[column - 6], " ", line)
        screen.wait(r"cprof top: \u6f22")
        screen.keys("q")
        screen.read("done")
        # A locale that does not have them.
        plain = self.top(target, "--by-thread", "--type=wall", LC_ALL="C")
        plain.wait(r"\?\?\?\?\? \d+")
        self.assertNotIn("\u6f22", plain.capture())

    def test_colours(self):
        target = self.target()
        for env, wanted in ({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False):
            screen = self.top(target, **env)
            screen.wait("compute")
            if wanted:
                screen.until(lambda: COLOUR.search(screen.capture("-e")), "a colour")
            else:
                # The bar is in the first row, and others are hot, too.
                screen.wait(r"^ *\d+\.\d +\d+\.\d .*\n *[1-9]\d*\.\d ")
                self.assertNotRegex(screen.capture("-e"), COLOUR)
            screen.keys("q")
            screen.read("done")

    def test_a_command(self):
        """What it writes does not get into the table, nor does it get keys."""
        screen = self.screen()
        screen.top("--interval=300ms", "--", "sh", "-c",
                   "echo $$ >command; while :; do echo GARBAGE; echo GARBAGE >&2; done; read x")
        screen.wait_for_rows()
        self.addCleanup(lambda: os.kill(int(screen.read("command")), signal.SIGKILL))
        time.sleep(0.5)
        self.assertNotIn("GARBAGE", screen.capture())
        screen.keys("q")
        self.assertEqual(screen.read("done"), "0")
        self.assertNotIn("GARBAGE", screen.capture())
        # It goes on without us.
        os.kill(int(screen.read("command")), 0)


class GivenBack(ScreenCase):
    def test_quit(self):
        target = self.target()
        screen = self.top(target)
        screen.keys("q")
        self.assertEqual(screen.read("done"), "0")
        self.assert_given_back(screen)
        self.assert_harmless(target)

    def test_interrupt_from_the_keyboard(self):
        target = self.target()
        for key in "C-c", "C-\\":
            screen = self.top(target)
            screen.keys(key)
            self.assertEqual(screen.read("done"), "0")
            self.assert_given_back(screen)
            self.assert_harmless(target)

    def test_signals(self):
        target = self.target()
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            screen = self.top(target)
            os.kill(int(screen.read("pid")), number)
            self.assertEqual(screen.read("done"), "0", number)
            self.assert_given_back(screen)
            self.assert_harmless(target)

    def test_crashes(self):
        """Even what kills it at once: a bug, or a signal that nobody expects."""
        target = self.target()
        for number in signal.SIGABRT, signal.SIGFPE, signal.SIGUSR1, signal.SIGALRM:
            screen = self.top(target)
            os.kill(int(screen.read("pid")), number)
            self.assertNotEqual(screen.read("done"), "0", number)
            self.assert_given_back(screen)
            self.assert_harmless(target)

    def test_the_target_ends(self):
        target = self.target()
        screen = self.top(target)
        target.process.kill()
        target.process.wait()
        self.assertEqual(screen.read("done"), "0")
        self.assert_given_back(screen)
        self.assertIn(f"shares (process {target.pid}) has ended", screen.read("stderr"))

    def test_the_end_by_itself(self):
        for args in ["-n", "3"], ["-d", "900ms"]:
            screen = self.screen()
            screen.top("-p", self.target().pid, "--interval=300ms", *args)
            self.assertEqual(screen.read("done"), "0")
            self.assert_given_back(screen)

    def test_an_error(self):
        screen = self.screen()
        screen.top("-p", "4194304")
        self.assertEqual(screen.read("done"), "2")
        self.assert_given_back(screen)
        self.assertIn("there is no process", screen.read("stderr"))

    def test_job_control(self):
        """Ctrl-Z, fg, bg: the shell has its terminal meanwhile, and nobody is held."""
        target = self.target()
        screen = self.screen()
        screen.start("PS1='prompt> ' exec bash --norc --noprofile -i")
        screen.wait("^prompt>")
        screen.keys(f"stty -g >before; sh -c 'echo $$ >pid; exec {CPROF} top -p {target.pid} "
                    "--interval=300ms'", "Enter")
        screen.wait_for_rows()
        for _ in range(2):
            screen.keys("C-z")
            screen.wait("Stopped")
            self.assertEqual(screen.flag("alternate_on"), "0")
            self.assertEqual(screen.flag("cursor_flag"), "1")
            self.assert_harmless(target)
            screen.keys("fg", "Enter")
            screen.until(lambda: screen.flag("alternate_on") == "1", "the table")
            screen.wait_for_rows()
        # Stopped without a word, it takes the terminal when it goes on.
        cprof = int(screen.read("pid"))
        os.kill(cprof, signal.SIGSTOP)
        wait_for_text(f"/proc/{cprof}/stat", ") T ")
        time.sleep(0.5)
        screen.keys("clear; fg", "Enter")
        screen.wait_for_rows()
        seconds = screen.table().seconds
        screen.until(lambda: screen.table().seconds > seconds, "a refresh")
        # In the background it does not touch the terminal.
        screen.keys("C-z")
        screen.wait("Stopped")
        screen.keys("clear; bg; sleep 1; stty -a", "Enter")
        screen.wait(r"[^-]icanon")
        self.assertEqual(screen.flag("alternate_on"), "0")
        self.assertRegex(screen.capture(), r"[^-]echo ")
        screen.keys("fg", "Enter")
        screen.until(lambda: screen.flag("alternate_on") == "1", "the table")
        seconds = screen.table().seconds
        screen.until(lambda: screen.table().seconds > seconds, "a refresh")
        screen.keys("q")
        screen.until(lambda: screen.flag("alternate_on") == "0", "the shell")
        screen.keys("stty -g >last", "Enter")
        self.assertEqual(screen.read("last"), screen.read("before"))
        self.assert_harmless(target)

    def test_the_terminal_goes_away(self):
        target = self.target()
        screen = self.top(target)
        pid = int(screen.read("pid"))
        screen.close()
        self.wait_until_gone(pid)
        self.assert_harmless(target)

    def wait_until_gone(self, pid):
        end = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}"):
            self.assertLess(time.monotonic(), end, "it runs without its terminal")
            time.sleep(0.05)


if __name__ == "__main__":
    main()
