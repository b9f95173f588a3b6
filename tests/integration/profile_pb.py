# SPDX-License-Identifier: Apache-2.0
"""Reads pprof files, independently of cprof's own reader: protobuf wire format by hand."""
import gzip
from collections import Counter
from dataclasses import dataclass, field


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Yields (field number, value): an int, or bytes for length-delimited fields."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value = data[at:at + size]
            at += size
        elif key & 7 == 1:
            value = int.from_bytes(data[at:at + 8], "little")
            at += 8
        else:
            raise ValueError(f"wire type {key & 7}")
        yield key >> 3, value


def ints(value):
    """A repeated integer, packed or not."""
    if isinstance(value, int):
        return [value]
    out, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        out.append(number)
    return out


def signed(value):
    return value - (1 << 64) if value >> 63 else value


@dataclass
class Line:
    name: str
    system_name: str
    file: str
    line: int
    start_line: int


@dataclass
class Location:
    id: int
    mapping: object
    address: int
    lines: list


@dataclass
class Mapping:
    id: int = 0
    start: int = 0
    limit: int = 0
    offset: int = 0
    file: str = ""
    build_id: str = ""
    flags: dict = field(default_factory=dict)


@dataclass
class Sample:
    locations: list
    values: list
    labels: dict

    def names(self):
        """Function names, leaf first, inlined ones included."""
        return [line.system_name for loc in self.locations for line in loc.lines] \
            if all(loc.lines for loc in self.locations) else \
            [name for loc in self.locations
             for name in ([line.system_name for line in loc.lines] or [f"?{loc.address:#x}"])]


class Profile:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.raw = gzip.decompress(file.read())
        top = {}
        for number, value in fields(self.raw):
            top.setdefault(number, []).append(value)
        self.top = top
        self.strings = [s.decode() for s in top.get(6, [])]
        text = self.strings.__getitem__
        self.sample_types = [self.value_type(v) for v in top.get(1, [])]
        self.period_type = self.value_type(top[11][0]) if 11 in top else None
        self.period = top.get(12, [0])[0]
        self.time_nanos = top.get(9, [])
        self.duration_nanos = top.get(10, [0])[0]
        self.comments = [text(i) for v in top.get(13, []) for i in ints(v)]
        self.functions = {}
        for value in top.get(5, []):
            f = dict(fields(value))
            self.functions[f[1]] = f
        self.mappings = [self.mapping(v) for v in top.get(3, [])]
        by_id = {m.id: m for m in self.mappings}
        self.locations = [self.location(v, by_id) for v in top.get(4, [])]
        self.by_id = {loc.id: loc for loc in self.locations}
        self.samples = [self.sample(v) for v in top.get(2, [])]

    def value_type(self, value):
        f = dict(fields(value))
        return self.strings[f.get(1, 0)], self.strings[f.get(2, 0)]

    def mapping(self, value):
        f = dict(fields(value))
        flags = {name: bool(f.get(7 + i)) for i, name in
                 enumerate(("functions", "filenames", "line_numbers", "inline_frames"))}
        return Mapping(f[1], f.get(2, 0), f.get(3, 0), f.get(4, 0), self.strings[f.get(5, 0)],
                       self.strings[f.get(6, 0)], flags)

    def location(self, value, by_id):
        f = {}
        lines = []
        for number, v in fields(value):
            if number == 4:
                line = dict(fields(v))
                function = self.functions[line[1]]
                lines.append(Line(self.strings[function.get(2, 0)],
                                  self.strings[function.get(3, 0)],
                                  self.strings[function.get(4, 0)], line.get(2, 0),
                                  function.get(5, 0)))
            else:
                f[number] = v
        return Location(f[1], by_id.get(f.get(2)), f.get(3, 0), lines)

    def sample(self, value):
        locations, values, labels = [], [], {}
        for number, v in fields(value):
            if number == 1:
                locations += [self.by_id[i] for i in ints(v)]
            elif number == 2:
                values += [signed(i) for i in ints(v)]
            elif number == 3:
                label = dict(fields(v))
                key = self.strings[label[1]]
                assert key not in labels, f"two values for label {key}"
                labels[key] = self.strings[label[2]] if 2 in label else label.get(3, 0)
        return Sample(locations, values, labels)

    def total(self, index):
        return sum(s.values[index] for s in self.samples)

    def cumulative(self, index=1):
        """Value per function that is anywhere on the stack."""
        counts = Counter()
        for sample in self.samples:
            for name in set(sample.names()):
                counts[name] += sample.values[index]
        return counts

    def by_label(self, key, index):
        """Value per text of a label."""
        counts = Counter()
        for sample in self.samples:
            if key in sample.labels:
                counts[sample.labels[key]] += sample.values[index]
        return counts

    def complete_share(self):
        """Share of real samples whose stack is not marked as cut or broken."""
        bad = sum(s.values[0] for s in self.samples
                  if any(n in ("[stack cut]", "[stack broken]") for n in s.names()))
        return 1 - bad / max(1, self.total(0))

    def unnamed_in_program(self):
        """Addresses in the main executable without a function name."""
        return [hex(loc.address) for loc in self.locations
                if loc.mapping is self.mappings[0] and not loc.lines]

    def named_share(self):
        """Share of distinct addresses in mapped files that have a function name."""
        real = [loc for loc in self.locations if loc.address and loc.mapping.file[0] != "["]
        return sum(bool(loc.lines) for loc in real) / max(1, len(real))
