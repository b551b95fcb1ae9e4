"""Runs as a table for a terminal, or, where it is narrow, as a few lines each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from textwrap import fill

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from curvecast.decisions.base import Reason
from curvecast.notation import plural
from curvecast.readers.base import Run
from curvecast.sinks.summary import LEVEL, ForecastSummary, Summary, summarise
from curvecast.watcher import Watcher

SENTENCES = 10  # reasons to stop that are told below a table
_NAME_WIDTHS = (40, 24, 16)  # characters; longer names fold
# Characters of a name, a forecast and a verdict, where the latter two fold as well. One run of millions of steps, or of
# a tiny loss, must not make all of a hundred fall apart into blocks.
_FOLDS = ((16, 23, 16), (16, 23, 11), (12, 21, 11))
UNFOLDED = 100_000  # characters: a page on which nothing folds, a name of any length neither
_STYLES = {"on_track": "green", "not_enough_data": "dim", "diverged": "bold red"}


def render(pairs: Iterable[tuple[Run, Watcher]], *, width: int, sentences: int | None = SENTENCES) -> RenderableType:
    """A table of the runs; where that would not fit into ``width`` a smaller one, else a block of lines for each.

    Args:
        pairs: each run with a watcher that has seen it.
        width: room on the page [characters]; ``UNFOLDED`` for a line each, however long.
        sentences: reasons to stop that are told, at most; ``None`` for all of them.

    Returns:
        Something that a rich console prints. Reasons to stop come as whole sentences below the table, those by which
        most of a plan may be saved first, but one of each reason before a second of any; of those that are not told it
        says how many there are. Of one run alone all is told.
    """
    return render_summaries([summarise(run, watcher) for run, watcher in pairs], width=width, sentences=sentences)


def render_summaries(summaries: Sequence[Summary], *, width: int, sentences: int | None = SENTENCES) -> RenderableType:
    """As ``render``, of runs that are summed up already."""
    measure = Console(width=UNFOLDED).measure
    table = next((table for table in _tables(summaries, width) if measure(table).maximum <= width), None)
    if table is not None:
        return Group(table, *_sentences(summaries, sentences))
    if sentences is None or len(summaries) <= sentences:  # so few that each block may hold its own sentence
        return Group(*(_block(summary, width, summary.message, *_choices(summary)) for summary in summaries))
    return Group(*(_block(summary, width) for summary in summaries), *_sentences(summaries, sentences))


def _tables(summaries: Sequence[Summary], width: int) -> Iterator[Table]:
    """The tables that may be shown, the one that tells most first, each narrower than the one before."""
    yield _table(summaries, widest=_NAME_WIDTHS[0] if width < UNFOLDED else None)
    if len(summaries) == 1:  # one alone is better told in a few lines
        return
    names = [summary.name for summary in summaries]
    yield _small_table(summaries, names, widest=_NAME_WIDTHS[0])
    short = tails(names)
    for characters in _NAME_WIDTHS:
        yield _small_table(summaries, short, widest=characters)
    for characters, *folds in _FOLDS:
        yield _small_table(summaries, short, widest=characters, folds=folds)


def _sentences(summaries: Sequence[Summary], most: int | None) -> list[Text]:
    """What stands below the runs, after a blank line: reasons to stop, or all of a run that is alone."""
    stopping = _in_turn(sorted((summary for summary in summaries if summary.should_stop), key=_left, reverse=True))
    told = [f"{summary.name}: {summary.message}" for summary in stopping[:most]]
    if more := len(stopping) - len(told):
        told.append(f"{plural(more, 'more run')} to stop: curvecast analyze --verbose tells of each.")
    if len(summaries) == 1 and not stopping:
        told += [summaries[0].message, *_choices(summaries[0])]
    return [Text(line) for line in ("", *told)] if told else []


def _in_turn(stopping: Sequence[Summary]) -> list[Summary]:
    """One run of each reason, then a second of each: what most of them have must not hide the one that diverged."""
    before: Counter[str] = Counter()
    turns = list[int]()
    for summary in stopping:
        turns.append(before[summary.reason])
        before[summary.reason] += 1
    return [stopping[place] for place in sorted(range(len(stopping)), key=turns.__getitem__)]


def _left(summary: Summary) -> float:
    """What is left of a run's plan, as a share of it; a plan that is not known may go on."""
    return max(1.0 - summary.step / summary.horizon, 0.0) if summary.horizon else 0.01


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
    sure = _probability(summary)
    if summary.reason == Reason.NOT_ENOUGH_DATA:  # there is no second line to tell from when on there is
        parts.append(f"{_verdict(summary).plain}: {summary.message}")
        return ", ".join(parts)
    return ", ".join([*parts, _verdict(summary).plain + (f" ({sure})" if sure else "")])


def _table(summaries: Sequence[Summary], *, widest: int | None) -> Table:
    table = Table(pad_edge=False, box=None, header_style="bold")
    table.add_column("run", overflow="fold", max_width=widest)
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
            _probability(summary),
        )
    return table


def _small_table(
    summaries: Sequence[Summary], names: Sequence[str], *, widest: int, folds: Sequence[int] | None = None
) -> Table:
    """Without what the other columns tell as well: how many points, of which loss, at which step.

    Args:
        summaries: a row each.
        names: what they are called.
        widest: of the names [characters].
        folds: of the forecasts and the verdicts; ``None`` for a line each [characters].
    """
    forecast, verdict = folds or (None, None)
    table = Table(pad_edge=False, box=None, header_style="bold")
    table.add_column("run", overflow="fold", max_width=widest)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column(rf"forecast \[{LEVEL:.0%}]", no_wrap=folds is None, max_width=forecast)
    table.add_column("verdict", no_wrap=folds is None, max_width=verdict)
    for name, summary in zip(names, summaries, strict=True):
        ahead = summary.forecast.interval_text if summary.forecast else "-"
        table.add_row(Text(name), _step(summary), summary.now, Text(ahead), _verdict(summary))
    return table


def _block(summary: Summary, width: int, *sentences: str) -> RenderableType:
    """One run in indented lines that stay readable at 60 characters."""
    parts = [f"{summary.unit} {_count(summary)}, {_points(summary)} points, {_loss(summary)} now"]
    if summary.forecast:
        parts.append(f"forecast {_forecast(summary.forecast)}, {LEVEL:.0%} interval")
    lines = Text("\n".join(_indented(part, width) for part in parts))
    sure = _probability(summary)
    lines.append("\n  ").append_text(_verdict(summary))
    lines.append((f", probability {sure}" if sure else "") + "\n" * bool(sentences))
    lines.append("\n".join(_indented(sentence, width) for sentence in sentences))
    return Group(Text(summary.name, style="bold"), lines)


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


def _probability(summary: Summary) -> str:
    """Of a reason to stop; that of a run on track is what the likeliest reason leaves, and tells nobody anything."""
    return f"{summary.probability:.2f}" if summary.should_stop else ""


def _choices(summary: Summary) -> list[str]:
    """What can be done now with a run that is looked at alone, a line each below a heading."""
    of = summary.forecast.of if summary.forecast else ""
    heading = f"What can be done now, and the {of} loss at its end:"
    return [heading, *(f"- {choice}" for choice in summary.choices)] if summary.choices else []


def _verdict(summary: Summary) -> Text:
    return Text(summary.words, style=_STYLES.get(summary.reason, "yellow"))
