# SPDX-License-Identifier: Apache-2.0
"""cprof dump beside gdb and eu-stack on the same processes, stopped by SIGSTOP: same threads, same
frames. Prints the wall time of each command."""
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import time

from harm import tasks, wait_until
from support import CPROF, Case, Target, main, need, wait_for_text

WAITS = """
import threading, time, select, socket, queue, hashlib
def busy():
    while True:
        hashlib.sha256(b'x' * 1000000).digest()
for call in (lambda: time.sleep(1000), lambda: select.select([], [], [], 1000),
             lambda: queue.Queue().get(), lambda: socket.socketpair()[0].recv(1), busy):
    threading.Thread(target=call, daemon=True).start()
print('ready', flush=True)
time.sleep(1000)
"""
GO = """package main
import ("fmt"; "time")
func work(n int) int { s := 0; for i := 0; ; i++ { s += i * n; if s == 12345 { fmt.Println(s) } } }
func main() { go work(3); fmt.Println("ready"); time.Sleep(time.Hour) }
"""
RUST = """
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
static BEGUN: AtomicU32 = AtomicU32::new(0);
fn busy(mut n: u64) -> u64 { loop { n = n.wrapping_mul(31).wrapping_add(7); if n == 1 { return n; } } }
fn main() {
    let a = Arc::new(Mutex::new(0));
    let b = a.clone();
    let held = a.lock().unwrap();
    std::thread::spawn(move || { BEGUN.fetch_add(1, SeqCst); println!("{}", *b.lock().unwrap()) });
    std::thread::spawn(|| { BEGUN.fetch_add(1, SeqCst); println!("{}", busy(3)) });
    // In the first instructions of clone3 a stack has no end that the tools agree on.
    while BEGUN.load(SeqCst) < 2 { std::thread::yield_now() }
    println!("ready");
    std::thread::sleep(std::time::Duration::from_secs(3600));
    drop(held);
}
"""


def plain(name):
    """Without what differs between tools: versions and arguments."""
    name = re.sub(r"@.*|\(.*|<.*", "", name)
    return re.sub(r"::h[0-9a-f]{16}$", "", name).strip()


@functools.lru_cache(maxsize=None)
def symbols(path):
    """{name: its addresses} by the symbol tables of a file and of its debug file."""
    say = lambda *args: subprocess.run(["readelf", *args], capture_output=True, text=True).stdout
    build_id = re.search(r"Build ID: (..)([0-9a-f]+)", say("-n", path))
    debug = f"/usr/lib/debug/.build-id/{build_id[1]}/{build_id[2]}.debug" if build_id else path
    addresses = {}
    for file in {path, debug}:
        for addr, name in re.findall(r": ([0-9a-f]{16}) .* (\S+)$", say("-sW", file), re.M):
            addresses.setdefault(plain(name), set()).add(int(addr, 16))
    return addresses


def same_function(module, ours, theirs):
    """By name. Assembly has an entry in DWARF for each symbol at its address (memcpy and memmove,
    __munmap and __GI_munmap), of which each tool chooses its own."""
    known = {} if ours == theirs else symbols(module)
    return ours == theirs or bool(known.get(ours, set()) & known.get(theirs, set()))


def timed(argv, **options):
    start = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, **options)
    return done, time.monotonic() - start


def dump(pid, *args):
    done, took = timed([CPROF, "dump", "-p", str(pid), "--json", *args])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), took


def eu_stack(pid):
    done, took = timed(["eu-stack", "-n", "0", "-p", str(pid)])
    threads = {}
    for line in done.stdout.splitlines():
        if line.startswith("TID "):
            frames = threads.setdefault(int(line[4:].rstrip(":")), [])
        match = re.match(r"#\d+\s+0x([0-9a-f]+)(?: - 1)?\s*(\S*)", line)
        if match:
            frames.append((int(match[1], 16), match[2]))
    return threads, took


GDB = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex",
       "set backtrace past-main on", "-ex", "set print frame-arguments none"]
# Type, pc and name of each frame. Those that gdb infers from tail calls are on no stack.
FRAMES = """python
import gdb
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame = gdb.newest_frame()
    while frame:
        # Behind a root that does not say so there is a frame without a pc.
        if frame.type() != gdb.TAILCALL_FRAME and frame.pc():
            kind = "inline" if frame.type() == gdb.INLINE_FRAME else "real"
            print("frame", thread.ptid[1] or thread.ptid[0], kind, frame.pc(), frame.name())
        frame = frame.older()
"""


def gdb(pid, script):
    """What it says about each frame, and how long the usual command takes."""
    done, took = timed(GDB + ["-p", str(pid), "-ex", "thread apply all bt"])
    assert "#0" in done.stdout, done.stderr
    with open(script, "w") as file:
        file.write(FRAMES)
    done, _ = timed(GDB + ["-p", str(pid), "-x", script])
    threads = {}
    for line in done.stdout.splitlines():
        if line.startswith("frame "):
            _, tid, kind, pc, name = line.split(" ", 4)
            threads.setdefault(int(tid), []).append((kind, int(pc), name))
    return threads, took


def have_begun(pid):
    """No thread is in the first instructions of clone3, where a stack has no end that the tools
    agree on: each waits for something, or has run for a while."""
    for tid, (state, _) in tasks(pid).items():
        with open(f"/proc/{pid}/task/{tid}/schedstat") as file:
            if state == "R" and int(file.read().split()[0]) < 1e6:
                return False
    return True


def stop(pid):
    wait_until(lambda: have_begun(pid))
    os.kill(pid, signal.SIGSTOP)
    for tid in os.listdir(f"/proc/{pid}/task"):
        wait_for_text(f"/proc/{pid}/task/{tid}/stat", ") T ")


class Beside(Case):
    def compare(self, target, by_name):
        """Stops it and asks all three."""
        stop(target.pid)
        found, took = dump(target.pid)
        real, _ = dump(target.pid, "--no-inlines")
        theirs, eu_took = eu_stack(target.pid)
        gdb_says, gdb_took = gdb(target.pid, self.path("frames.gdb"))
        pcs = {t["tid"]: [int(f["pc"], 16) for f in real["stacks"][t["stack"]]["frames"]]
               for t in real["threads"]}
        frames_of = {t["tid"]: found["stacks"][t["stack"]]["frames"] for t in found["threads"]}
        self.assertEqual(set(pcs), set(theirs))
        self.assertEqual(set(pcs), set(gdb_says))
        wrong = {"eu-stack": 0, "gdb": 0, "cut": 0}
        whole = {t["tid"]: real["stacks"][t["stack"]]["complete"] for t in real["threads"]}
        for tid, frames in theirs.items():
            eu_pcs = [pc for pc, _ in frames]
            real_pcs = [pc for kind, pc, _ in gdb_says[tid] if kind == "real"]
            # Where the two do not agree with each other (in Go's signal trampoline, for one), a
            # stack that says of itself that it is not whole is not wrong.
            if eu_pcs != real_pcs and not whole[tid] and eu_pcs[:len(pcs[tid])] == pcs[tid]:
                continue
            wrong["eu-stack"] += pcs[tid] != eu_pcs
            ours = frames_of[tid]
            same = pcs[tid] == real_pcs and len(ours) == len(gdb_says[tid])
            for frame, (_, _, name) in zip(ours, gdb_says[tid]):
                if by_name and "file" in frame:
                    same &= same_function(frame["module"], plain(frame["function"]), plain(name))
            wrong["gdb"] += not same
        wrong["cut"] = sum(not s["complete"] for s in real["stacks"])
        self.assertEqual(target.state(), "T", "it goes on although it was stopped")
        print(f"{self.id().rsplit('_', 1)[1]}: {len(pcs)} threads, {sum(map(len, pcs.values()))} "
              f"frames; cprof {took * 1000:.0f} ms, eu-stack {eu_took * 1000:.0f} ms, gdb "
              f"{gdb_took * 1000:.0f} ms; threads with other frames {wrong}", flush=True)
        if os.environ.get("DIFF"):
            for tid in theirs:
                print(tid, "\n  ", [hex(p) for p in pcs[tid]], "\n  ",
                      [(hex(p), n) for p, n in theirs[tid]], "\n  ",
                      [f.get("function") for f in frames_of[tid]], "\n  ", gdb_says[tid])
        return wrong

    def setUp(self):
        super().setUp()
        need("gdb", "eu-stack")

    def agree(self, target, by_name=True, complete=True):
        """by_name: else the number of frames, inlined ones included, where tools write names in
        ways of their own."""
        wrong = self.compare(target, by_name)
        if complete:
            self.assertEqual(wrong["cut"], 0)
        self.assertEqual((wrong["eu-stack"], wrong["gdb"]), (0, 0))

    def test_redis(self):
        need("redis-server")
        with Target(["redis-server", "--port", "0", "--unixsocket", self.path("s"), "--save", "",
                     "--dir", self.folder], wait_for="eady to accept") as target:
            wait_for_text(f"/proc/{target.pid}/stat", ") S ")
            self.agree(target)

    def test_python(self):
        with Target(["python3", "-c", WAITS], wait_for="ready") as target:
            self.agree(target)

    def test_sqlite(self):
        need("sqlite3")
        with Target(["sqlite3", self.path("db")], stdin=subprocess.PIPE) as target:
            target.process.stdin.write(b"create table t(a); insert into t values(1);\n"
                                       b"with recursive c(x) as (select 1 union all select x+1 "
                                       b"from c) select max(x) from c;\n")
            target.process.stdin.flush()
            target.wait_until_busy()
            self.agree(target)
            target.process.stdin.close()

    def test_xz(self):
        need("xz")
        with open("/dev/zero", "rb") as zero:
            with Target(["xz", "-T2", "-6", "-c", "--block-size=1MiB"], stdin=zero) as target:
                target.wait_until_busy(30)
                self.agree(target)

    def test_sleep(self):
        with Target(["sleep", "1000"]) as target:
            wait_for_text(f"/proc/{target.pid}/stat", ") S ")
            self.agree(target)

    def test_go(self):
        need("go")
        with open(self.path("a.go"), "w") as file:
            file.write(GO)
        env = dict(os.environ, HOME=self.folder, GOCACHE=self.path("cache"), CGO_ENABLED="0",
                   GOFLAGS="-mod=mod")
        subprocess.run(["go", "build", "-o", "a", "a.go"], cwd=self.folder, env=env, check=True)
        with Target([self.path("a")], wait_for="ready") as target:
            # Nothing in Go's .debug_frame says where its system stacks end.
            self.agree(target, complete=False)

    def test_rust(self):
        need("rustc")
        with open(self.path("a.rs"), "w") as file:
            file.write(RUST)
        subprocess.run(["rustc", "-g", "-O", "-o", "a", "a.rs"], cwd=self.folder, check=True)
        with Target([self.path("a")], wait_for="ready") as target:
            self.agree(target, by_name=False)


if __name__ == "__main__":
    main()
