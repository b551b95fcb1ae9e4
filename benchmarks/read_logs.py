"""Reading logs against what others read them with: CPU time, memory, and the cost of a live tail.

The files are written once into a folder (``--data``), by torch's ``SummaryWriter`` and TensorBoard's own writer; every
figure stands beside a peer's on the same file in the same run.

    python benchmarks/read_logs.py --scalars 1000000
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from _log_files import TEXTS, event_file, heavy_file, table_file, tensor_file, text_file
from _record import recorded, table_of_costs, write
from rich.console import Console

from curvecast.readers.frames import walk
from curvecast.readers.jsonl import read_jsonl
from curvecast.readers.scan import EventFile
from curvecast.readers.tabular import read_table
from curvecast.readers.text import read_text
from curvecast.readers.tfevents import read_tfevents

ROUNDS = 8
LINES = 50_000  # of a text log


def seconds(run: Callable[[], object], rounds: int = 3) -> float:
    """CPU seconds of the fastest round."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def accumulate(folder: Path) -> Any:
    """All scalars, as TensorBoard's ``EventAccumulator`` reads them."""
    module: Any = import_module("tensorboard.backend.event_processing.event_accumulator")
    accumulator = module.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    return [accumulator.Scalars(tag) for tag in tags["scalars"]] or [
        accumulator.Tensors(tag) for tag in tags["tensors"]
    ]


def parse(folder: Path) -> Any:
    """All scalars, as tbparse reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: Any = import_module("tbparse")
        return module.SummaryReader(str(folder)).scalars


def served(folder: Path, *, checked: bool) -> float:
    """CPU seconds in which TensorBoard's Rust server loads a folder, of which it keeps a sample."""
    binary = import_module("tensorboard_data_server").server_binary()
    command = [binary, "--logdir", str(folder), "--reload", "once", "--port", "0", "--verbose", "--die-after-stdin"]
    with subprocess.Popen(
        [*command, *(["--checksum"] if checked else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        for line in server.stderr:
            if "Finished load cycle" in line:
                break
        ticks = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        server.kill()
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def peak(what: str, path: Path) -> float:
    """Megabytes that a process of its own needs at most to read a file, beyond its imports."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import read_logs as r; "
    code += f"from pathlib import Path; print(r.grown({what!r}, Path({str(path)!r})))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def grown(what: str, path: Path) -> float:
    """Megabytes by which the peak of this process grows while it reads."""
    readers: dict[str, Callable[[Path], object]] = {
        "stream": stream,
        "read": lambda p: read_tfevents([p]),
        "tbparse": lambda p: parse(p.parent),
    }
    if what == "tbparse":
        import_module("tbparse")
    before = _high_water()
    kept = readers[what](path)
    return _high_water() - before + 0.0 * (kept is None)


def _high_water() -> float:
    """The most memory that this process has had so far, of its own (Linux) [MB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def stream(path: Path) -> int:
    """Every scalar once, keeping none."""
    return sum(len(series) for block in EventFile(path).poll() for series in block.series.values())


def scalars(data: Path, count: int) -> dict[str, float]:
    """One file of scalars, all of them kept."""
    path, tensors = event_file(data / f"v1_{count}", count), tensor_file(data / f"v2_{count}", count)
    runs: tuple[Callable[[], float], ...] = (
        lambda: seconds(lambda: read_tfevents([path]), 1),
        lambda: seconds(lambda: read_tfevents([tensors]), 1),
        lambda: served(path.parent, checked=False),
        lambda: served(path.parent, checked=True),
    )
    rounds = [[run() for run in runs] for _ in range(ROUNDS)]  # in turn, so that a busy moment meets all of them
    ours, of_tensors, server, checking = map(min, zip(*rounds, strict=True))
    theirs, tbparse = seconds(lambda: accumulate(path.parent), 1), seconds(lambda: parse(path.parent), 1)
    return {
        "scalars": count,
        "seconds": ours,
        "seconds_v2": of_tensors,
        "seconds_EventAccumulator": theirs,
        "seconds_tbparse": tbparse,
        "EventAccumulator_over_ours": theirs / ours,
        "tbparse_over_ours": tbparse / ours,
        "v2_over_v1": of_tensors / ours,
        "seconds_rust_server": server,
        "seconds_rust_server_checking": checking,
        "rust_server_over_ours": server / ours,
        "rust_server_checking_over_ours": checking / ours,
    }


def memory(data: Path, count: int) -> dict[str, float]:
    """Growth of the peak: streamed at one and at ten times the scalars, kept, and with tbparse."""
    path = event_file(data / f"v1_{count}", count)
    longer = data / "v1_ten" / "events.out.tfevents.1"
    if not longer.exists():
        longer.parent.mkdir()
        longer.write_bytes(path.read_bytes() * 10)
    figures = {"MB_streamed": peak("stream", path), "MB_streamed_ten_times": peak("stream", longer)}
    figures |= {"MB_kept": peak("read", path), "MB_tbparse": peak("tbparse", path)}
    return figures | {
        "tbparse_over_kept": figures["MB_tbparse"] / figures["MB_kept"],
        "ten_times_over_once": figures["MB_streamed_ten_times"] / figures["MB_streamed"],
    }


def tail(data: Path, count: int) -> dict[str, float]:
    """A poll that finds 100 new records, and one that finds none; microseconds of CPU."""
    body = event_file(data / f"v1_{count}", count).read_bytes()[: 4 << 20]
    frames = walk(body)[0]
    cuts = [frames[at][1] + 4 for at in range(1000, 4000, 100)]
    folder = data / "tail"
    folder.mkdir(exist_ok=True)
    path = folder / "events.out.tfevents.1"
    path.write_bytes(body[: cuts[0]])
    module: Any = import_module("tensorboard.backend.event_processing.event_accumulator")
    accumulator = module.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    file = EventFile(path)
    list(file.poll())
    ours, theirs, idle, their_idle = [], [], [], []
    for begin, end in pairwise(cuts):
        with path.open("ab") as out:
            out.write(body[begin:end])
        ours.append(seconds(lambda: list(file.poll()), 1))
        theirs.append(seconds(accumulator.Reload, 1))
        idle.append(seconds(lambda: list(file.poll()), 1))
        their_idle.append(seconds(accumulator.Reload, 1))
    medians = [1e6 * float(np.median(each)) for each in (ours, theirs, idle, their_idle)]
    return {
        "us_100_new": medians[0],
        "us_100_new_Reload": medians[1],
        "us_idle": medians[2],
        "us_idle_Reload": medians[3],
        "Reload_over_ours": medians[1] / medians[0],
        "idle_Reload_over_ours": medians[3] / medians[2],
    }


def heavy(data: Path, megabytes: int) -> dict[str, float]:
    """A file that is mostly images and histograms."""
    path = heavy_file(data / f"heavy_{megabytes}", megabytes)
    ours = seconds(lambda: read_tfevents([path]))
    theirs = seconds(lambda: parse(path.parent), 1)
    return {
        "MB": path.stat().st_size / 1e6,
        "seconds": ours,
        "seconds_tbparse": theirs,
        "tbparse_over_ours": theirs / ours,
    }


def tables(data: Path, rows: int) -> dict[str, float]:
    """CSV and lines of JSON, against the fastest of pyarrow, polars and duckdb."""
    csv = table_file(data / f"table_{rows}.csv", rows)
    lines = csv.with_suffix(".jsonl")
    arrow_csv, arrow_json = import_module("pyarrow.csv"), import_module("pyarrow.json")
    polars, duckdb = import_module("polars"), import_module("duckdb")
    peers = {
        "csv": {
            "pyarrow": lambda: arrow_csv.read_csv(csv),
            "polars": lambda: polars.read_csv(csv),
            "duckdb": lambda: duckdb.sql(f"select * from read_csv('{csv}')").fetchnumpy(),
        },
        "jsonl": {
            "pyarrow": lambda: arrow_json.read_json(lines),
            "polars": lambda: polars.read_ndjson(lines),
            "duckdb": lambda: duckdb.sql(f"select * from read_json('{lines}')").fetchnumpy(),
        },
    }
    figures: dict[str, float] = {"MB_csv": csv.stat().st_size / 1e6, "MB_jsonl": lines.stat().st_size / 1e6}
    for kind, run in (("csv", lambda: read_table(csv)), ("jsonl", lambda: read_jsonl(lines))):
        ours = seconds(run)
        theirs = {f"seconds_{kind}_{name}": seconds(peer) for name, peer in peers[kind].items()}
        figures |= {f"seconds_{kind}": ours, **theirs, f"ours_over_fastest_{kind}": ours / min(theirs.values())}
    return figures


def texts(data: Path, lines: int) -> dict[str, float]:
    """Text logs, against a pattern that was written for their lines alone, a line at a time."""
    figures: dict[str, float] = {}
    for kind, (printed, pattern) in TEXTS.items():
        name = kind.replace(" ", "_")
        path = text_file(data / f"{name}_{lines}.log", printed, lines)
        by_hand = re.compile(pattern)
        rounds = [
            (seconds(lambda: read_text(path), 1), seconds(lambda: searched(path, by_hand), 1))  # noqa: B023 - at once
            for _ in range(ROUNDS)
        ]
        ours, theirs = map(min, zip(*rounds, strict=True))
        figures |= {f"us_a_line_{name}": 1e6 * ours / lines, f"MB_a_second_{name}": path.stat().st_size / 1e6 / ours}
        figures |= {f"ours_over_by_hand_{name}": ours / theirs}
    return figures


def searched(path: Path, pattern: re.Pattern[str]) -> list[list[float]]:
    """The numbers that a pattern finds in the lines of a file."""
    with path.open(encoding="utf-8") as file:
        return [[float(number) for number in found.groups()] for line in file if (found := pattern.search(line))]


@click.command(help=__doc__)
@click.option("--scalars", "count", default=1_000_000, show_default=True, help="In one event file.")
@click.option("--megabytes", default=1000, show_default=True, help="Of images and histograms.")
@click.option("--rows", default=2_000_000, show_default=True, help="Of the table.")
@click.option("--only", multiple=True, help="Measure these parts again, and keep the others as they are recorded.")
@click.option("--data", type=click.Path(path_type=Path), default="/tmp/curvecast_read_logs", show_default=True)
def main(count: int, megabytes: int, rows: int, only: tuple[str, ...], data: Path) -> None:
    if find_spec("tbparse") is None:
        raise click.ClickException("the peers are not installed. Run `pip install 'curvecast[bench]'`.")
    data.mkdir(exist_ok=True)
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "tail": lambda: tail(data, count),
        "tables": lambda: tables(data, rows),
        "texts": lambda: texts(data, LINES),
        "images and histograms": lambda: heavy(data, megabytes),
        "memory": lambda: memory(data, count),
        "scalars": lambda: scalars(data, count),
    }
    figures = recorded("read_logs") if only else {}
    for name in only or parts:
        figures[name] = parts[name]()
        print(name, figures[name], flush=True)
    Console().print(table_of_costs(figures, "Reading logs"))
    print("written:", write("read_logs", figures, source="files written by torch, TensorBoard and this script"))


if __name__ == "__main__":
    main()
