"""Runs as a table for a terminal, or, where it is narrow, as a few lines each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from textwrap import fill

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from curvecast.readers.base import Run
from curvecast.sinks.summary import LEVEL, ForecastSummary, Summary, summarise
from curvecast.watcher import Watcher

_NAME_WIDTHS = (40, 24, 16)  # characters; longer names fold
_ANY_WIDTH = 100_000  # wide enough to measure what a table asks for
_STYLES = {"on_track": "green", "not_enough_data": "dim", "diverged": "bold red"}


def render(pairs: Iterable[tuple[Run, Watcher]], *, width: int) -> RenderableType:
    """A table of the runs; where that would not fit into ``width`` a smaller one, else a block of lines for each.

    Args:
        pairs: each run with a watcher that has seen it.
        width: room on the page [characters].

    Returns:
        Something that a rich console prints. Reasons to stop come as whole sentences below the table.
    """
    return render_summaries([summarise(run, watcher) for run, watcher in pairs], width=width)


def render_summaries(summaries: Sequence[Summary], *, width: int) -> RenderableType:
    """As ``render``, of runs that are summed up already."""
    tables = [_table(summaries)]
    if len(summaries) > 1:  # one alone is better told in a few lines
        names = [summary.name for summary in summaries]
        tables.append(_small_table(summaries, names, widest=_NAME_WIDTHS[0]))
        tables += [_small_table(summaries, tails(names), widest=characters) for characters in _NAME_WIDTHS]
    measure = Console(width=_ANY_WIDTH).measure
    table = next((table for table in tables if measure(table).maximum <= width), None)
    if table is None:
        return Group(*(_block(summary, width) for summary in summaries))
    reasons = [Text(f"{summary.name}: {summary.message}") for summary in summaries if summary.should_stop]
    return Group(table, *([Text("")] if reasons else []), *reasons)


def tails(names: Sequence[str]) -> list[str]:
    """Names without the folders that tell no two of them apart.

    Example:
        >>> tails(["lab/d12/version_0", "lab/d12/version_1", "lab/d24/version_0"])
        ['d12/version_0', 'version_1', 'd24/version_0']
    """
    count = Counter(tail for name in names for tail in set(_ends(name)))
    return [next((tail for tail in _ends(name) if count[tail] == 1), name) for name in names]


def _ends(name: str) -> list[str]:
    """``c``, ``b/c`` and ``a/b/c`` of ``a/b/c``."""
    parts = name.split("/")
    return ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]


def line(summary: Summary) -> str:
    """One run in one line, for a pipe."""
    parts = [summary.name, f"{summary.unit} {_count(summary)}", f"{_loss(summary)} now"]
    if summary.forecast:
        parts.append(f"forecast {_forecast(summary.forecast)}")
    return ", ".join([*parts, f"{_verdict(summary).plain} ({summary.probability:.2f})"])


def _table(summaries: Sequence[Summary]) -> Table:
    table = Table(pad_edge=False, box=None, header_style="bold")
    table.add_column("run", overflow="fold", max_width=_NAME_WIDTHS[0])
    for title in ("points", "step", "loss now"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(rf"forecast \[{LEVEL:.0%} interval]", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    for summary in summaries:
        table.add_row(
            Text(summary.name),
            _points(summary),
            _step(summary),
            _loss(summary),
            Text(_forecast(summary.forecast) if summary.forecast else "-"),
            _verdict(summary),
            f"{summary.probability:.2f}",
        )
    return table


def _small_table(summaries: Sequence[Summary], names: Sequence[str], *, widest: int) -> Table:
    """Without what the other columns tell as well: how many points, of which loss, at which step."""
    table = Table(pad_edge=False, box=None, header_style="bold")
    table.add_column("run", overflow="fold", max_width=widest)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column(rf"forecast \[{LEVEL:.0%}]", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name, summary in zip(names, summaries, strict=True):
        ahead = summary.forecast.interval_text if summary.forecast else "-"
        table.add_row(Text(name), _step(summary), summary.now, Text(ahead), _verdict(summary))
    return table


def _block(summary: Summary, width: int) -> RenderableType:
    """One run in indented lines that stay readable at 60 characters."""
    parts = [f"{summary.unit} {_count(summary)}, {_points(summary)} points, {_loss(summary)} now"]
    if summary.forecast:
        parts.append(f"forecast {_forecast(summary.forecast)}, {LEVEL:.0%} interval")
    lines = Text("\n".join(_indented(part, width) for part in parts))
    lines.append("\n  ").append_text(_verdict(summary)).append(f", probability {summary.probability:.2f}\n")
    return Group(Text(summary.name, style="bold"), lines.append(_indented(summary.message, width)))


def _indented(text: str, width: int) -> str:
    return fill(text, max(width, 20), initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _points(summary: Summary) -> str:
    counts = [(summary.train_points, "train"), (summary.val_points, "val")]
    return " + ".join(f"{count:,} {of}" for count, of in counts if count) or "no"


def _step(summary: Summary) -> str:
    """``1,250/2,500``; where no steps are counted, with what is."""
    return _count(summary) + (f" {summary.unit}s" if summary.unit != "step" else "")


def _count(summary: Summary) -> str:
    return f"{summary.step:,}/{'?' if summary.horizon is None else format(summary.horizon, ',')}"


def _loss(summary: Summary) -> str:
    return summary.now if summary.loss is None else f"{summary.loss[0]} {summary.now}"


def _forecast(forecast: ForecastSummary) -> str:
    """``val 2.913 [2.905, 2.921] at 20,000``."""
    return f"{forecast.of} {forecast.interval_text} at {forecast.step:,}"


def _verdict(summary: Summary) -> Text:
    return Text(summary.words, style=_STYLES.get(summary.reason, "yellow"))
