# SPDX-License-Identifier: Apache-2.0
"""What the tests of the page share: a browser that shows it, and questions to ask of it.
PAGE_SHOTS, if set, is a folder that pictures of it are put into."""
import os
import shutil
import tempfile

import support
from browser import Browser
from page_server import PageServer

ROW = 20  # height of a frame in flame_view.js
SHOTS = os.environ.get("PAGE_SHOTS")


class Page(support.Case):
    @classmethod
    def start_browser(cls):
        """One for all tests of a class: it takes seconds. Not in setUpClass(), because unittest
        does not count what is skipped there."""
        folder = tempfile.mkdtemp(prefix="cprof-test-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.browser = Browser(folder)
        cls.addClassCleanup(cls.browser.__exit__)

    browser = None
    expected = ()  # what messages in the console hold that are no error

    def setUp(self):
        super().setUp()
        if not self.browser:
            self.start_browser()
        self.server = self.make_server()
        self.addCleanup(self.server.__exit__)
        self.browser.devtools("Emulation.clearDeviceMetricsOverride")
        self.browser.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "light"}])
        self.browser.resize(1280, 800)
        self.browser.go(self.server.url)

    def make_server(self):
        """Something with an url, on a port of its own, so that a browser remembers nothing from one
        test to the next; and with next(kind), if it is not to choose what profiles hold."""
        return PageServer().__enter__()

    def take(self, kind="plain", type="CPU time"):
        before = self.n_profiles()
        self.server.next(kind)
        self.browser.choose("#type", type)
        self.browser.click("#start")
        self.browser.wait("return document.querySelector('#shown').options.length > arguments[0]",
                          "a profile", before)
        self.drawn()

    def n_profiles(self):
        return self.browser.run("return document.querySelector('#shown').options.length")

    def drawn(self):
        """How many frames there are, when all that was asked for is drawn."""
        self.browser.post("/execute/async", {"args": [], "script": """const done = arguments[0];
            requestAnimationFrame(() => requestAnimationFrame(() => done()));"""})
        return int(self.browser.run(
            "return document.querySelector('.flame-canvas').dataset.drawn ?? 0"))

    def spot(self, share, row):
        """Where a frame is: share of the width, 0 to 1, and row, the root's being 0."""
        x, y, width = self.browser.run("""
            const box = document.querySelector('.flame-canvas').getBoundingClientRect();
            return [box.left, box.top, box.width];""")
        return x + share * width, y + (row + 0.5) * ROW

    def under(self, share, row):
        """What the page says of the frame there; "" when there is none."""
        self.browser.pointer(*self.spot(share, row))
        return self.browser.run("""const tip = document.querySelector('.flame-tip');
            return tip.hidden ? "" : [...tip.children].map((e) => e.textContent).join("|");""")

    def pointer_away(self):
        self.browser.pointer(5, 5)

    def click(self, share, row):
        self.browser.pointer(*self.spot(share, row), click=True)

    def detail(self):
        return self.browser.run("""return [...document.querySelectorAll('.flame-detail span')]
            .map((e) => e.textContent).join("|");""")

    def rows(self):
        """The table: lists of texts."""
        return self.browser.run("""return [...document.querySelectorAll('.flame-table tbody tr')]
            .map((row) => [...row.cells].map((cell) =>
                cell.innerText.trim().replace(/\\s+/g, ' ')))""")

    def colour(self, share, row):
        """Of the lower left corner of a frame, where no text is."""
        return self.browser.run("""const [share, y] = arguments;
            const canvas = document.querySelector('.flame-canvas'), ratio = devicePixelRatio;
            const x = share * canvas.clientWidth, pixel = document.createElement('canvas');
            const context = pixel.getContext('2d', {willReadFrequently: true});
            context.drawImage(canvas, -Math.floor(x * ratio), -Math.floor(y * ratio));
            return [...context.getImageData(0, 0, 1, 1).data];""",
            share, row * ROW + ROW - 4)

    def wait_for_text(self, selector, text):
        self.browser.wait("""const [selector, text] = arguments;
            return document.querySelector(selector).textContent.includes(text)""", text, selector, text)

    def shot(self, name):
        if SHOTS:
            self.drawn()
            os.makedirs(SHOTS, exist_ok=True)
            self.browser.screenshot(os.path.join(SHOTS, name + ".png"))

    def tearDown(self):
        """Whatever was tested: nothing went wrong aloud, and nobody else was asked anything."""
        errors = [e for e in self.browser.log("browser")
                  if e["level"] in ("SEVERE", "WARNING")
                  and not any(text in e["message"] for text in self.expected)]
        self.assertEqual(errors, [])
        for url in self.browser.requests():
            self.assertTrue(url.startswith((self.server.url, "data:", "chrome:", "about:")), url)
        self.assertIsNone(self.browser.run("return window.hacked ?? null"))

