# SPDX-License-Identifier: Apache-2.0
"""Size and time of writing 1,000,000 samples over 50,000 stacks, beside go tool pprof reading and
writing the same file."""
import os

from bench import RUNS, TOOLS, Folder, Table, end, goal, have, run


def main():
    with Folder() as folder:
        path, again = folder.path("million.pb.gz"), folder.path("again.pb.gz")
        times = Table("writing 1,000,000 samples of 50,000 stacks", "s", base="cprof", digits=3)
        sizes = Table("size of the file", "MB", base="cprof")
        env = dict(os.environ, HOME=folder.name, PPROF_TMPDIR=folder.name,
                   GOCACHE=folder.path("gocache"), GOFLAGS="-mod=mod")
        for _ in range(RUNS):
            add, write, _ = run([TOOLS + "/encode_million", path]).stdout.split()
            times.add("cprof", int(write) / 1e9)
            times.add("adding the samples before", int(add) / 1e9)
            sizes.add("cprof", os.path.getsize(path) / 1e6)
            if have("go"):
                done = run(["go", "tool", "pprof", "-proto", "-symbolize=none", "-output", again,
                            path], env=env)
                times.add("go tool pprof -proto", done.seconds)
                sizes.add("go tool pprof -proto", os.path.getsize(again) / 1e6)
        times.print()
        sizes.print()
        goal("MB", sizes.median("cprof"), 5)
        goal("s to write", times.median("cprof"), 0.5)
    end()


if __name__ == "__main__":
    main()
