"""Segments written byte by byte as docs/log-format.md says, so that a test decides where a frame ends or breaks off."""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

import msgspec

from holdfast.logs import format, index
from holdfast.logs.model import Record

T0 = 1_764_000_000_000_000  # microseconds
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
_ids = itertools.count(1 << 60)


def record(message: str = "said", **more: object) -> Record:
    """Return a record with the next id of this process."""
    number = next(_ids)
    values = {"ts": T0 + number % (1 << 40), "level": "INFO", "target": "app", "pid": 7}
    return Record(id=number, message=message, **{**values, **more})


class Segment:
    """One segment being written: every ``write`` is flushed, a frame ends after ``frame_records``."""

    def __init__(self, directory: Path, name: str, *, frame_records: int = 20) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / name
        self._packed = name.endswith(".zst")
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115  # closed by `close` or `kill`
        self._frame_records = frame_records
        self._summaries: list[bytes] = []
        self._begin()

    def write(self, *records: Record) -> None:
        for each in records:
            line = msgspec.json.encode(each) + b"\n"
            if not self._packed:
                self._file.write(line)
                continue
            self._records.append(each)
            self._text_bytes += len(line)
            self._put(self._zstd.compress(line, self._zstd.FLUSH_BLOCK))
            if len(self._records) >= self._frame_records:
                self.end_frame()

    def end_frame(self) -> None:
        if self._packed and self._records:
            self._put(self._zstd.flush(self._zstd.FLUSH_FRAME))
            self._summaries.append(format.summarize(self._records, self._frame_bytes, self._text_bytes))
            self._file.write(self._summaries[-1])
            self._begin()

    def close(self) -> None:
        self.end_frame()
        if self._packed:
            self._file.write(index.pack(self._summaries, self.path.stat().st_size))
        self._file.close()

    def kill(self) -> None:
        """Leave it as a killed process would."""
        self._file.close()

    def _begin(self) -> None:
        self._records: list[Record] = []
        self._frame_bytes = self._text_bytes = 0
        if self._packed:
            new, parameter = _compressor()
            self._zstd = new(options={parameter.checksum_flag: 1})

    def _put(self, data: bytes) -> None:
        self._frame_bytes += len(data)
        self._file.write(data)


def some_records(rng: random.Random, count: int) -> list[Record]:
    """Return records that differ in everything a query can ask for."""
    words = ["Connection", "reset", "100%", "a_b", "Größe", "日本語", "timeout", "é\u0301", 'quo"te', "back\\slash"]
    return [
        record(
            " ".join(rng.choices(words, k=rng.randint(0, 5))),
            ts=T0 + rng.randint(0, 5_000),
            level=rng.choice(LEVELS),
            target=rng.choice(["app", "app.db", "app::db", "apple", "core.net/io", "日本"]),
            thread_id=rng.choice([None, None, "t-1", "t-2", "t-10", "fädchen"]),
            module=rng.choice([None, "codex_core", "CODEX_TUI", "a%b", ""]),
            file=rng.choice([None, "core/src/lib.rs", "tui/src/App.rs"]),
            fields=rng.choice([None, {"ms": 12, "path": "/x"}, {"deep": {"a": [1, None]}}]),
            exception=rng.choice([None, None, "Traceback\n  Boom: reset"]),
            dropped=rng.choice([None, None, None, {"DEBUG": 3}]),
        )
        for _ in range(count)
    ]


def spread(rng: random.Random, directory: Path, records: list[Record], *, killed: bool = True) -> None:
    """Write ``records`` into a few segments, plain and packed, closed, open and killed, as several processes would."""
    names = [
        f"b007-{pid}-{number}.jsonl{ending}" for pid in (7, 8) for number, ending in ((1, ".zst"), (2, ".zst"), (3, ""))
    ]
    segments = [Segment(directory, name, frame_records=rng.choice([1, 5, 17])) for name in names]
    for each in records:
        rng.choice(segments).write(each)
    for segment in segments:
        segment.kill() if killed and rng.random() < 0.5 else segment.close()


def _compressor():
    if sys.version_info >= (3, 14):
        from compression import zstd as module
    else:
        from backports import zstd as module
    return module.ZstdCompressor, module.CompressionParameter
