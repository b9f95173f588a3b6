# SPDX-License-Identifier: Apache-2.0
"""The page for people, in a real Chromium: what is drawn is asked for with the pointer and the
keys, as people do."""
import time

import server
import support
from page_case import ROW, Page
from page_server import profile, written


class Graph(Page):
    def test_known_functions_where_they_belong(self):
        self.shot("empty-light")
        self.take()
        self.assertEqual(self.server.asked, ["/debug/pprof/profile?seconds=10&format=json"])
        self.assertIn("all|7.2 s (100 %)", self.under(0.5, 0))
        self.assertIn("main|/src/server.cc:12|server|7.2 s (100 %)|self 0", self.under(0.5, 1))
        self.assertIn("serve(int)|/src/server.cc:22|server|6.2 s (86.1 %)", self.under(0.5, 2))
        self.assertIn("log_loop()", self.under(0.95, 2))
        # Largest first: compress, parse (demangled), render.
        self.assertIn("compress(char const*, unsigned long)|", self.under(0.1, 4))
        self.assertIn("2.6 s (36.1 %)|self 1.4 s", self.under(0.1, 4))
        self.assertIn("http::parse(", self.under(300 / 720, 4))
        self.assertIn("__memcpy_avx_unaligned_erms|/src/server.cc:52|libc.so.6|",
                      self.under(0.1, 5))
        # Right of where its callee ends it has no callee, and nothing is drawn.
        self.assertEqual(self.under(200 / 720, 5), "")
        self.assertEqual(self.colour(200 / 720, 5)[3], 0)
        self.assertEqual(self.colour(0.1, 5)[3], 255)
        self.assertIn("dropped: 3 snapshots", self.browser.text("#summary"))
        self.under(0.1, 4)
        self.shot("graph-light")

    def test_zoom(self):
        self.take()
        whole = self.drawn()
        self.click(300 / 720, 4)
        self.drawn()
        for row, name in enumerate(["all", "main", "serve(int)", "handle(", "http::parse("]):
            for share in 0.02, 0.98:
                self.assertIn(name, self.under(share, row))
        self.assertIn("1.6 s (22.2 %)", self.detail())
        self.assertEqual(self.drawn(), 5)
        self.browser.press("Backspace")
        self.assertIn("compress", self.under(0.02, 4))
        self.assertIn("render", self.under(0.98, 4))
        self.browser.press("Escape")
        self.assertEqual(self.drawn(), whole)
        self.assertIn("log_loop()", self.under(0.95, 2))
        self.click(0.1, 4)
        self.assertIn("compress", self.under(0.98, 4))
        self.browser.click("#reset")
        self.assertEqual(self.drawn(), whole)
        self.assertTrue(self.browser.run("return document.querySelector('#reset').disabled"))

    def test_keys(self):
        self.take()
        self.assertTrue(self.browser.run("return document.activeElement.matches('.flame-canvas')"))
        self.browser.press("Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown")
        self.assertIn("compress(", self.detail())
        self.browser.press("ArrowRight")
        self.assertIn("http::parse(", self.detail())
        self.browser.press("ArrowRight", "ArrowRight", "ArrowRight")
        self.assertIn("__write", self.detail())
        self.browser.press("ArrowLeft", "ArrowLeft")
        self.assertIn("render(", self.detail())
        self.shot("keys-light")
        self.browser.press("Enter")
        self.assertIn("render(", self.under(0.98, 4))
        self.browser.press("ArrowUp")
        self.assertIn("handle(", self.detail())
        # A callee of a caller above is the one that is seen.
        self.browser.press("ArrowDown")
        self.assertIn("render(", self.detail())
        self.browser.press("t")
        self.assertTrue(self.browser.run("return document.querySelector('.flame-view').hidden"))
        # Every control can be reached, and has a name.
        nameless = self.browser.run("""
            return [...document.querySelectorAll('button, select, input')]
            .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))
            .map((e) => e.outerHTML)""")
        self.assertEqual(nameless, [])

    def test_search(self):
        self.take()
        plain = self.colour(0.1, 4)
        self.browser.press("/", *"COMP")
        self.assertEqual(self.browser.text("#matched"), "36.1 % matched")
        self.drawn()
        found, other = self.colour(0.1, 4), self.colour(300 / 720, 4)
        self.assertNotEqual(found, plain)
        self.assertNotEqual(found, other)
        self.shot("search-light")
        # Escape leaves the search and not the zoom; what is below a match counts once.
        self.browser.press("Escape")
        self.assertEqual(self.browser.text("#matched"), "")
        self.drawn()
        self.assertEqual(self.colour(0.1, 4), plain)
        self.browser.press(("Control", "f"), *"log")
        self.assertEqual(self.browser.text("#matched"), "13.9 % matched")
        self.browser.press("Enter")
        self.assertTrue(self.browser.run("return document.activeElement.matches('.flame-canvas')"))

    def test_ten_thousand_frames(self):
        self.browser.resize(1600, 2500)
        self.take("wide")
        self.assertEqual(self.drawn(), 100 * 100 + 1)
        self.assertIn("f_0_99|/src/server.cc:1002|server|100 ms (1.00 %)",
                      self.under(0.005, 100))
        self.assertIn("f_9_49", self.under(0.999, 50))
        # In a small window only what is seen is drawn, wherever it was scrolled to.
        self.browser.resize(900, 700)
        few = self.drawn()
        self.assertLess(few, 4000)
        self.browser.run("document.querySelector('.flame-scroll').scrollTop = 1e6")
        self.drawn()
        height = self.browser.run("return document.querySelector('.flame-canvas').clientHeight")
        self.assertIn("_99|", self.under(0.5, height / ROW - 1))
        self.shot("wide-light")

    def test_size_and_resolution(self):
        self.take()
        for width, height, ratio in (500, 700, 1), (1400, 900, 2), (1000, 600, 1.5):
            self.browser.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                                  deviceScaleFactor=ratio, mobile=False)
            self.browser.wait("""const c = document.querySelector('.flame-canvas');
                return devicePixelRatio === arguments[0] &&
                    c.width === Math.round(c.clientWidth * arguments[0]) &&
                    c.height === Math.round(c.clientHeight * arguments[0])""",
                              f"{width} × {height} at {ratio}", ratio)
            self.assertLessEqual(
                self.browser.run("return document.documentElement.scrollWidth"), width)
            self.assertIn("serve(int)", self.under(0.5, 2))
            self.assertEqual(self.colour(0.1, 5)[3], 255)
            self.shot(f"size-{width}")


class Controls(Page):
    def test_table(self):
        self.take()
        self.browser.click("#table")
        rows = self.rows()
        self.assertEqual(len(rows), 17)
        self.assertEqual([row[:3] for row in rows[:2]], [
            ["1.6 s 22.2 %", "1.6 s 22.2 %", rows[0][2]],
            ["1.4 s 19.4 %", "2.6 s 36.1 %", "compress(char const*, unsigned long)"]])
        self.assertTrue(rows[0][2].startswith("http::parse("))
        self.assertEqual(rows[0][3], "/src/server.cc:42")
        # Recursive functions count once.
        loop = next(row for row in rows if row[2] == "log_loop()")
        self.assertEqual(loop[:2], ["0 0.00 %", "1 s 13.9 %"])
        self.shot("table-light")
        self.browser.click(".flame-sort[data-key=total]")
        self.assertEqual([row[2] for row in self.rows()[:2]], ["main", "serve(int)"])
        self.browser.click(".flame-sort[data-key=name]")
        names = [row[2] for row in self.rows()]
        self.assertEqual(names, sorted(names))
        self.browser.click(".flame-sort[data-key=name]")
        self.assertEqual([row[2] for row in self.rows()], names[::-1])
        self.assertEqual(self.browser.run(
            "return document.querySelector('th[aria-sort]').ariaSort"), "descending")
        self.browser.press("/", *"log")
        self.assertEqual({row[2] for row in self.rows()}, {"log_loop()", "log(char const*)"})
        # From the table to the graph.
        self.browser.click(".flame-link")
        self.assertTrue(self.browser.run(
            "return document.querySelector('.flame-table-box').hidden"))
        self.assertEqual(self.browser.text("#matched"), "13.9 % matched")

    def test_threads(self):
        self.take()
        options = self.browser.text("#thread")
        self.assertIn("worker-21 21 (", options)
        self.browser.choose("#thread", "logger-23")
        self.drawn()
        self.assertIn("log_loop()|", self.under(0.02, 2))
        self.assertIn("1 s (100 %)", self.under(0.02, 2))
        self.assertIn("1 s of 7.2 s", self.browser.text("#summary"))
        self.browser.click("#table")
        self.assertEqual({row[2] for row in self.rows()}, {
            "main", "log_loop()", "log(char const*)", "__write", "[kernel] write", "rotate()"})
        # The choice stays with the next profile; there that thread has less.
        self.take("later")
        self.assertIn("300 ms of 6.7 s", self.browser.text("#summary"))

    def test_processes(self):
        self.take()
        self.assertTrue(self.browser.run("return document.querySelector('#process-label').hidden"))
        self.take("processes")
        self.assertFalse(self.browser.run("return document.querySelector('#process-label').hidden"))
        self.assertIn("child_work", self.under(0.9, 2))
        self.browser.choose("#process", "4712")
        self.drawn()
        self.assertIn("child_work", self.under(0.1, 2))
        self.assertNotIn("worker-21", self.browser.text("#thread"))

    def test_comparison(self):
        self.take()
        self.assertEqual(self.browser.text("#base"), "nothing")
        self.take("later")
        self.browser.choose("#base", "#1")
        self.drawn()
        # compress: 260 → 400, parse: 160 → 40, render: as it was.
        total = 260 + 140 + 40 + 140 + 60 + 30
        self.assertIn("+1.4 s from 2.6 s", self.under(0.1, 4))
        self.assertIn("0 from 1.4 s", self.under(450 / total, 4))
        self.assertIn("-1.2 s from 1.6 s", self.under(560 / total, 4))
        grew, same, shrank = (self.colour(x / total, 4) for x in (20, 420, 560))
        self.assertGreater(grew[0], grew[2] + 20)
        self.assertGreater(shrank[2], shrank[0] + 20)
        self.assertLess(max(same[:3]) - min(same[:3]), 12)
        self.under(0.1, 4)
        self.shot("compare-light")
        self.browser.choose("#theme", "Dark")
        self.shot("compare-dark")
        self.browser.click("#table")
        self.browser.click(".flame-sort[data-key=selfChange]")
        rows = {row[4]: row[2:4] for row in self.rows()}
        # What went away is there, too.
        self.assertEqual(rows["[kernel] write"], ["-700 ms", "-700 ms"])
        self.assertEqual(rows["main"], ["", "-500 ms"])
        self.assertEqual(self.rows()[0][4], "__memcpy_avx_unaligned_erms")
        self.shot("compare-table-dark")
        self.browser.choose("#shown", "#1")
        self.assertEqual(len(self.rows()[0]), 4)

    def test_themes(self):
        back = "return getComputedStyle(document.body).backgroundColor"
        self.take()
        light = self.browser.run(back)
        frame = self.colour(0.1, 4)
        self.browser.choose("#theme", "Dark")
        self.drawn()
        dark = self.browser.run(back)
        self.assertNotEqual(light, dark)
        self.assertLess(sum(self.colour(0.1, 4)[:3]), sum(frame[:3]))
        self.under(0.1, 4)
        self.shot("graph-dark")
        self.browser.press("/", *"comp")
        self.pointer_away()
        self.shot("search-dark")
        self.browser.click("#table")
        self.shot("table-dark")
        # It is remembered; "System" follows the system.
        self.browser.go(self.server.url)
        self.assertEqual(self.browser.run(back), dark)
        self.shot("empty-dark")
        self.browser.choose("#theme", "System")
        for scheme, colour in ("dark", dark), ("light", light):
            self.browser.devtools("Emulation.setEmulatedMedia", features=[
                {"name": "prefers-color-scheme", "value": scheme}])
            self.browser.wait(back + " === arguments[0]", scheme, colour)


class Taking(Page):
    def test_progress_and_cancel(self):
        self.server.gate.clear()
        self.browser.run("document.querySelector('#seconds').value = 5")
        self.browser.click("#start")
        self.wait_for_text("#waiting", " s left")
        self.browser.wait("return document.querySelector('#bar').value > 0", "a bar")
        self.shot("progress-light")
        self.wait_for_text("#waiting", "finding names")
        self.browser.click("#cancel")
        self.browser.wait("return document.querySelector('#progress').hidden", "the end")
        self.assertEqual(self.n_profiles(), 0)
        self.assertTrue(self.browser.run("return document.querySelector('#message').hidden"))
        self.assertEqual(self.server.asked, ["/debug/pprof/profile?seconds=5&format=json"])

    def test_one_of_several_processes(self):
        """Chosen with the keyboard; who has ended is no choice any more."""
        hidden = "return document.querySelector('#from-label').hidden"
        self.assertTrue(self.browser.run(hidden))
        name = "<img src=x onerror='window.hacked = 1'>"
        self.server.processes(("11", "redis-server"), ("12", name))
        self.browser.go(self.server.url)
        self.browser.wait("return !document.querySelector('#from-label').hidden", "a choice")
        self.assertEqual(self.browser.run(
            "return [...document.querySelector('#from').options].map((o) => o.textContent)"),
            ["all", "redis-server 11", name + " 12"])
        self.take()
        self.assertEqual(self.server.asked.pop(), "/debug/pprof/profile?seconds=10&format=json")
        self.browser.run("document.querySelector('#from').focus()")
        self.browser.press("ArrowDown", "ArrowDown")
        self.browser.run("document.querySelector('#start').focus()")
        self.take(type="Threads, once")
        self.assertEqual(self.server.asked.pop(), "/debug/pprof/12/threads?format=json")
        self.assertIn(name + " 12", self.browser.text("#shown"))
        self.assertEqual(self.browser.run("return document.querySelector('#from').value"), "12")
        self.server.processes(("11", "redis-server"))
        self.browser.run("window.dispatchEvent(new Event('focus'))")
        self.browser.wait("return document.querySelector('#from-label').hidden", "no choice")
        self.take()
        self.assertEqual(self.server.asked.pop(), "/debug/pprof/profile?seconds=10&format=json")

    def test_types(self):
        for name, path in (("Wall", "wall?seconds=10&"), ("Waiting", "block?seconds=10&"),
                           ("Threads, once", "threads?"),
                           ("Threads made", "threadcreate?seconds=10&")):
            self.take("plain", name)
            self.assertEqual(self.server.asked.pop(), f"/debug/pprof/{path}format=json")

    def test_errors_are_text(self):
        self.expected = ("500 (",)
        self.take()
        self.browser.choose("#type", "Locks held")
        self.browser.click("#start")
        self.browser.wait("return !document.querySelector('#message').hidden", "a message")
        self.assertEqual(self.browser.text("#message"), "process 4711 has ended: <b>grün</b>")
        self.assertEqual(self.browser.run(
            "return document.querySelector('#message').children.length"), 0)
        self.shot("error-light")
        # What was there is still there, and the next one takes the message away.
        self.assertEqual(self.n_profiles(), 1)
        self.take()
        self.assertTrue(self.browser.run("return document.querySelector('#message').hidden"))

    def test_hostile_names(self):
        self.take("hostile")
        self.assertIn("</script><script>window.hacked=1</script>|", self.under(0.5, 1))
        self.assertIn('<img src=x onerror="window.hacked=2">|', self.under(0.1, 2))
        # Names that mean something to JavaScript's objects.
        self.assertIn("__proto__|", self.under(0.9, 2))
        self.assertIn("constructor|", self.under(0.9, 3))
        # What would turn the text around, and what has no shape.
        self.assertIn(" ? gpj.exe|", self.under(0.6, 2))
        self.assertIn("line?feed?tab ?|", self.under(0.6, 3))
        self.shot("hostile-light")
        self.browser.choose("#thread", "<img src=x onerror=window.hacked=4>")
        self.browser.click("#table")
        self.assertEqual(len(self.rows()), 3)
        self.browser.press("/", *"<script>")
        self.assertEqual(len(self.rows()), 1)
        self.assertEqual(self.browser.run(
            "return document.querySelectorAll('main img, script').length"), 1)
        # tearDown() sees whether one ran.

    def test_the_policy_lets_in_the_page_only(self):
        page = written("page").decode()
        self.server.server.page = page.replace(
            "</body>", "<script>window.let_in = 1</script>"
            "<img src=x onerror='window.let_in = 2'></body>").encode()
        self.browser.go(self.server.url)
        self.take()
        self.assertIsNone(self.browser.run("return window.let_in ?? null"))
        refused = [e["message"] for e in self.browser.log("browser")
                   if "Content Security Policy" in e["message"]]
        self.assertGreaterEqual(len(refused), 2)

    def test_the_drawing_stands_alone(self):
        """In a page of somebody else's, with a profile that is part of it."""
        page = written("page").decode()
        script = page.split("<script>")[1].split("</script>")[0]
        alone = script[:script.index("})();") + len("})();")]
        self.browser.go("about:blank")
        names = self.browser.run("""const before = new Set(Object.getOwnPropertyNames(window));
            document.body.innerHTML = '<div id=here style="height: 300px"></div>';
            (0, eval)(arguments[0]);
            cprofFlame.create(document.querySelector('#here')).setProfile(arguments[1]);
            return Object.getOwnPropertyNames(window).filter((name) => !before.has(name))""",
            alone, profile("plain"))
        self.assertEqual(names, ["cprofFlame"])
        self.assertEqual(self.drawn(), 19)


class RealServer:
    """A cprof serve of a victim, as Page.make_server() wants it."""

    def __init__(self, *args):
        self.target = support.Target([support.victim("shares"), "600"], wait_for="ready")
        self.server = server.Server("-p", self.target.pid, *args)
        self.url = self.server.url.removesuffix("debug/pprof/")

    def next(self, kind):
        """What it holds is not ours to choose."""

    def __exit__(self, *_):
        self.server.__exit__()
        self.target.__exit__()


class Served(Page):
    """By the real server, from a real process."""

    def make_server(self):
        return RealServer()

    def seconds(self, text):
        self.browser.run("""const field = document.querySelector('#seconds');
            field.value = arguments[0]; field.dispatchEvent(new Event('change'))""", text)

    def test_a_process_at_work(self):
        self.seconds("1")
        self.take(type="Wall time")
        self.assertGreater(self.drawn(), 20)
        self.browser.press("t")
        names = {row[-1].split()[0] if row else "" for row in self.rows()}
        self.assertTrue({"wait_sleep", "wait_poll", "wait_pipe"} <=
                        {word for row in self.rows() for cell in row for word in cell.split()},
                        names)
        self.browser.press("t")
        self.browser.press("/", *"wait_poll")
        # One thread of eight.
        share = float(self.browser.text("#matched").split()[0])
        self.assertAlmostEqual(share, 12.5, delta=2)
        self.browser.press("Escape")
        self.take(type="CPU time")
        self.browser.press("/", *"compute")
        self.assertGreater(float(self.browser.text("#matched").split()[0]), 50)
        self.shot("served-light")
        self.assertFalse(self.browser.run("return document.querySelector('#past').checkVisibility()"))


class ServedContinuous(Page):
    """By one that has sampled all the time."""

    def make_server(self):
        return RealServer("--continuous")

    def test_the_last_seconds(self):
        self.browser.wait("return document.querySelector('#past').checkVisibility()",
                          "the choice of the past")
        self.browser.run("""document.querySelector('#past').checked = true;
            document.querySelector('#seconds').value = 60;""")
        start = time.monotonic()
        self.take(type="Wall time")
        # Not when they are over.
        self.assertLess(time.monotonic() - start, 30)
        self.assertGreater(self.drawn(), 20)


if __name__ == "__main__":
    support.main()
