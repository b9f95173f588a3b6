# SPDX-License-Identifier: Apache-2.0
"""Programs that are profiled: compilers at work for a long time, and an interpreter."""
import subprocess
import sys
import time

from bench import Target, check


def long_source(folder, compiler):
    """A C++ file, preprocessed, that keeps a compiler busy for minutes. Its path."""
    path = folder.path(compiler + ".ii")
    text = r"""
#include <algorithm>
#include <map>
#include <regex>
#include <string>
#include <vector>
template <int N> struct Key { int v; bool operator<(const Key &o) const { return v < o.v; } };
template <int N> size_t use(const std::string &s)
{
	std::map<Key<N>, std::vector<Key<N>>> m;
	std::vector<Key<N>> keys(s.size());
	for (char c : s) { m[Key<N>{c}].push_back(Key<N>{c + N}); keys.push_back(Key<N>{c}); }
	std::stable_sort(keys.begin(), keys.end());
	return std::regex_match(s, std::regex("(a|b)*c+" + std::to_string(N))) + m.size() + keys.size();
}
template <int N> struct All { static size_t run(const std::string &s)
	{ return use<N>(s) + All<N - 1>::run(s); } };
template <> struct All<0> { static size_t run(const std::string &s) { return s.size(); } };
size_t all(const std::string &s) { return All<800>::run(s); }
"""
    with open(folder.path("long.cc"), "w") as file:
        file.write(text)
    check([compiler, "-std=c++17", "-E", folder.path("long.cc"), "-o", path])
    return path


class Compiler(Target):
    """A compiler at work in one process: "cc1plus" (of g++) or "clang"."""

    def __init__(self, folder, which, alone_for=1.5):
        source = long_source(folder, "clang++" if which == "clang" else "g++")
        if which == "clang":
            argv = ["clang++", "-std=c++17", "-O2", "-w", "-ftemplate-depth=2000", "-c", source,
                    "-o", "/dev/null"]
        else:
            argv = [check(["g++", "-print-prog-name=cc1plus"]).strip(), "-fpreprocessed", "-quiet",
                    "-O2", "-std=c++17", "-w", "-ftemplate-depth=2000", source, "-o", "/dev/null"]
        super().__init__(argv, stderr=subprocess.DEVNULL)
        time.sleep(alone_for)
        if self.process.poll() is not None:
            sys.exit(f"{argv[0]} ended early: exit {self.process.returncode}")


class Python(Target):
    """An interpreter that sorts and formats, with calls nested as in a program."""

    def __init__(self):
        text = """
import json
def work(depth):
    if depth:
        return work(depth - 1)
    words = sorted((str(i * 7919 % 100003) for i in range(2000)), key=lambda w: w[::-1])
    return json.loads(json.dumps({w: len(w) for w in words}, indent=1))
while True:
    work(20)
"""
        super().__init__([sys.executable, "-c", text])
        time.sleep(0.3)


class Threads(Target):
    """An interpreter whose threads come and go: each computes for a tenth of a second."""

    def __init__(self):
        text = """
import threading, time
def work(until):
    while time.monotonic() < until:
        sorted(str(i * 7919 % 100003) for i in range(500))
while True:
    threads = [threading.Thread(target=work, args=(time.monotonic() + 0.1,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
        super().__init__([sys.executable, "-c", text])
        time.sleep(0.3)


class Redis(Target):
    """redis-server with ten clients at work."""

    def __init__(self, folder):
        path = folder.path("redis.sock")
        super().__init__(["redis-server", "--port", "0", "--unixsocket", path, "--save", ""],
                         wait_for="eady to accept")
        self.load = Target(["redis-benchmark", "-s", path, "-n", "1000000000", "-q", "-c", "10",
                            "-t", "set,get"])

    def __exit__(self, *_):
        self.load.__exit__()
        super().__exit__()
