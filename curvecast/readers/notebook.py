"""Jupyter notebooks: what each cell has printed, and the tables that it shows, are read as files of their own would be.

Hugging Face's Trainer and fastai draw a table while they train in a notebook; the bar above the Trainer's tells how
many optimizer steps its epochs have. A cell that goes on where another has ended is of the same run.

Source: nbformat 4; ``NotebookProgressCallback`` of huggingface/transformers; fastprogress.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

from curvecast.readers.base import Log, Series, UnreadableRun
from curvecast.readers.formats import Folder, Format, Heads, Part, claims, formats

_SUFFIX = ".ipynb"
_LARGEST = 1 << 27  # bytes; pictures make a notebook large
_NOT_LOGGED = "No log"  # as the Trainer says where a column has nothing yet
_COUNT = re.compile(r"\d{1,9}")
_BAR = re.compile(r"<progress value='\d{1,18}' max='(\d{1,18})'.*?Epoch [\d.]+/(\d{1,18})\]", re.DOTALL)


class _Tables(HTMLParser):
    """The tables of a page, as rows of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and self.tables[-1] and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data.strip().replace(_NOT_LOGGED, "")


def read_notebook(path: Path) -> dict[str, Log]:
    """The runs that the cells of a notebook tell of, by name; the empty name for an only one.

    Raises:
        UnreadableRun: if it is no notebook, or no cell has kept a log.
    """
    with tempfile.TemporaryDirectory(prefix="curvecast-") as scratch:
        parts, totals = _unpack(path, Path(scratch))
        runs: list[tuple[int, Log]] = []
        for cell, of_cell in parts.items():
            logs = [log for part in of_cell for log in _logs(part)]
            if not logs:
                continue
            log = max(logs, key=lambda each: max(map(len, each.series.values())))
            log.path = path
            if totals.get(cell) and not log.units:
                log.meta["horizon"] = totals[cell]
            if runs and _goes_on(runs[-1][1], log):
                _append(runs[-1][1], log, cell)
            else:
                runs.append((cell, log))
    if not runs:
        raise UnreadableRun(f"no cell of {path.name} has kept what a training loop prints. Run it, and save it then.")
    return {f"cell {cell}" if len(runs) > 1 else "": log for cell, log in runs}


def _unpack(path: Path, folder: Path) -> tuple[dict[int, list[Part]], dict[int, int]]:
    """Write what the cells of a notebook show into files; gives those that are logs, and the steps that a bar plans.

    Both are by the number of their cell.
    """
    totals: dict[int, int] = {}
    for cell, outputs in enumerate(_outputs(path), 1):
        printed = "".join(_joined(each.get("text")) for each in outputs if each.get("output_type") == "stream")
        if "loss" in printed.lower():
            text = folder / f"cell {cell}.log"
            text.write_text(printed if printed.endswith("\n") else printed + "\n", "utf-8", "replace", newline="")
        pages = [_joined(data.get("text/html")) for each in outputs if isinstance(data := each.get("data"), dict)]
        totals[cell] = max((_planned(page)[0] for page in pages), default=0)
        for number, table in enumerate(rows for page in pages for rows in _tables(page)):
            with (folder / f"cell {cell} {number}.csv").open(
                "w", encoding="utf-8", errors="replace", newline=""
            ) as file:
                csv.writer(file).writerows(table)
    names = sorted(each.name for each in folder.iterdir())
    found: dict[int, list[Part]] = {}
    for part in claims(Folder(folder, names, [], is_root=True, heads=Heads(folder))):
        found.setdefault(int(part.files[0].stem.split()[1]), []).append(part)
    return dict(sorted(found.items())), totals


def _outputs(path: Path) -> Iterator[list[dict[str, object]]]:
    """What each cell of a notebook shows; nothing for one of text.

    Raises:
        UnreadableRun: if it is no notebook.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UnreadableRun(f"{path.name} has more than {_LARGEST >> 20} MiB. Save it without its pictures.")
        notebook = json.loads(path.read_bytes())
    except UnreadableRun:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    for cell in cells if isinstance(cells, list) else ():
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        yield [each for each in outputs if isinstance(each, dict)] if isinstance(outputs, list) else []


def _joined(text: object) -> str:
    """A text of a notebook, which is one string or a list of lines."""
    if isinstance(text, list):
        return "".join(line for line in text if isinstance(line, str))
    return text if isinstance(text, str) else ""


def _tables(page: str) -> list[list[list[str]]]:
    """The tables of a page that may hold a loss; their epochs become steps where a bar says how many they have."""
    if "loss" not in page.lower():
        return []
    parser = _Tables()
    parser.feed(page)
    total, epochs = _planned(page)
    for rows in parser.tables:
        if epochs and not total % epochs and rows[:1] and rows[0][:1] == ["Epoch"]:
            rows[0][0] = "Step"
            for row in rows[1:]:
                row[:1] = [str(int(cell) * (total // epochs)) if _COUNT.fullmatch(cell) else cell for cell in row[:1]]
    return parser.tables


def _planned(page: str) -> tuple[int, int]:
    """The optimizer steps and the epochs that the Trainer's bar counts to; 0 where there is none."""
    bar = _BAR.search(page)
    return (0, 0) if bar is None else (int(bar[1]), int(bar[2]))


def _logs(part: Part) -> list[Log]:
    try:
        return list(formats()[part.format].read(part.files).values())
    except UnreadableRun:
        return []


def _goes_on(before: Log, after: Log) -> bool:
    """Whether one log is written like another, and begins where that has ended."""
    if before.format != after.format or set(before.series) != set(after.series) or before.units != after.units:
        return False
    ended = max(int(rows.steps.max()) for rows in before.series.values())
    return all(int(rows.steps.min()) > ended for rows in after.series.values())


def _append(log: Log, more: Log, cell: int) -> None:
    """Join the rows of a log to those of the one before."""
    last = 1 + max(int(rows.order.max()) for rows in log.series.values())
    for tag, rows in more.series.items():
        log.series[tag] = Series.joined([log.series[tag], Series(rows.steps, rows.values, rows.order + last)])
    log.meta |= more.meta
    log.notes.add(f"cell {cell} goes on with the run")
    log.notes.lost += more.notes.lost


def _has_log(path: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix="curvecast-") as scratch:
        try:
            return bool(_unpack(path, Path(scratch))[0])
        except UnreadableRun:
            return False


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(_SUFFIX) and _has_log(folder.path / name):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return read_notebook(files[0])


FORMAT = Format(
    "notebook",
    "*.ipynb",
    _claim,
    lambda path, start: path.suffix == _SUFFIX,
    _read,
)
