"""What a step costs: ``Watcher.update`` over a million steps, its memory, and a forecast after a new sample.

Every time stands beside a peer's, measured in the same run in alternating rounds: one ``float(tensor)`` with a
list append for an update, one ``curve_fit`` of ``L + A s^-alpha`` on the same bins for a forecast. CPU time.

    python benchmarks/update_cost.py
"""

from __future__ import annotations

import math
import pickle
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace

import click
import numpy as np
import torch
from _record import table_of_costs, write
from rich.console import Console
from scipy.optimize import curve_fit

from curvecast import ComputeEfficiency, Decision, Overfitting, Plateau, Schedule, Watcher
from curvecast.curve import FloatArray
from curvecast.judge import Judge

ROUNDS = 5
_VERDICTS = 400  # at each of which a train and a validation loss have just come
_RUNS = 3  # each with some 50 verdicts
_NEVER = 0.999_999  # a level at which nothing is said


def losses(steps: int, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    noisy = 2.0 + 3.0 * np.arange(1.0, steps + 1.0) ** -0.3 + 0.05 * rng.standard_normal(steps)
    return [float(loss) for loss in noisy]


def watcher(steps: int, decisions: Sequence[Decision] | None = None) -> Watcher:
    schedule = Schedule.cosine(steps, warmup=steps // 100, floor=0.1)
    return Watcher(schedule=schedule, num_params=124e6, batch_tokens=5e5, decisions=decisions)


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def update_all(data: list[float], val_every: int) -> Watcher:
    subject = watcher(len(data))
    for step, loss in enumerate(data, 1):
        subject.update(step, loss)
        if step % val_every == 0:
            subject.update(step, val_loss=loss)
    return subject


def append_all(tensors: list[torch.Tensor], count: int) -> None:
    kept: list[float] = []
    for i in range(count):
        kept.append(float(tensors[i % len(tensors)]))


def update_cost(steps: int, rounds: int) -> dict[str, float]:
    """Microseconds a step, verdicts and refits included, against ``float(tensor)`` and a list append."""
    data = losses(steps)
    tensors = [torch.tensor(loss) for loss in data[:1000]]
    ours, peer = [], []
    for _ in range(rounds):
        ours.append(seconds(lambda: update_all(data, steps)) / steps * 1e6)
        peer.append(seconds(lambda: append_all(tensors, steps)) / steps * 1e6)
    return {
        "steps": steps,
        "us_per_update": min(ours),
        "us_per_float_and_append": min(peer),
        "ratio": statistics.median(a / b for a, b in zip(ours, peer, strict=True)),
    }


def memory() -> dict[str, float]:
    """Bytes that a watcher holds after 10^5 and after 10^6 steps, and what its state pickles to."""
    data = losses(10**6)
    subject = watcher(10**6)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    held = {}
    for step, loss in enumerate(data, 1):
        subject.update(step, loss)
        if step in (10**5, 10**6):
            held[step] = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    whole = len(pickle.dumps(subject))
    return {
        "bytes_held_at_1e5": held[10**5],
        "bytes_held_at_1e6": held[10**6],
        "bytes_pickled": whole,
        "bytes_of_state": len(pickle.dumps(subject.state_dict())),
    }


def power(s: FloatArray, level: float, drop: float, alpha: float) -> FloatArray:
    return np.asarray(level + drop * s**-alpha)


def forecast_cost(steps: int, *, val: bool, due: bool = False) -> dict[str, float]:
    """Milliseconds of one forecast (median, 90 % interval) after a new sample, in units of a ``curve_fit``.

    Where a verdict is ``due`` it fits all losses anew; between two verdicts it hears what came since the first. All of
    it is warm, for both were asked a step ago.
    """
    data = losses(steps)
    subject = Watcher(schedule=Schedule.cosine(4 * steps, warmup=steps // 25, floor=0.1))
    for step, loss in enumerate(data[:-400], 1):
        subject.update(step, loss)
        if val and step % (steps // 25) == 0:
            subject.update(step, val_loss=loss + 0.02)
    ours, peer = [], []
    for step in range(steps - 399, steps + 1):
        subject.update(step, data[step - 1])
        if due:
            subject.seen.wait()
        ours.append(seconds(lambda: subject.forecast().interval(0.9)))
        peer.append(by_hand(subject))
    return {
        "bins": len(subject.bins("train")),
        "ms_per_forecast": 1e3 * statistics.median(ours),
        "ms_per_curve_fit": 1e3 * statistics.median(peer),
        "ratio": statistics.median(ours) / statistics.median(peer),
    }


def by_hand(subject: Watcher) -> float:
    """Seconds of one ``curve_fit`` on the bins of a watcher."""
    bins = subject.bins("train")
    guess = (0.8 * bins.mean[-1], bins.mean[0], 0.5)
    return seconds(lambda: curve_fit(power, bins.step, bins.mean, p0=guess, maxfev=10_000))


def on_the_way(steps: int, *, val: bool, rates: bool) -> dict[str, float]:
    """Milliseconds of the forecasts at the verdicts of some runs as they come, and of a ``curve_fit`` beside each.

    The first tenth of the steps is left out. Between two verdicts a run goes on for hundreds of steps, so that nothing
    is at hand for either, and whatever a verdict does now and then counts as often as it does it: a fit to the run as
    it stood a while ago, a plan inferred anew. Which of the two is asked first changes from verdict to verdict.

    Args:
        steps: Of a run, a quarter of its plan.
        val: Whether 25 validations come on the way.
        rates: Whether the plan's end and the learning rates so far are told, in place of the plan.
    """
    plan = Schedule.cosine(4 * steps, warmup=steps // 25, floor=0.1)
    taken: dict[str, list[float]] = {"ours": [], "peer": []}
    for seed in range(_RUNS):
        subject = Watcher(horizon=plan.horizon) if rates else Watcher(schedule=plan)
        subject.judge.skims = True  # a verdict comes due, but is not worked out
        for step, loss in enumerate(losses(steps, seed), 1):
            last = subject.seen.due
            val_loss = loss + 0.02 if val and step % (steps // 25) == 0 else None
            subject.update(step, loss, val_loss=val_loss, lr=3e-4 * plan.lr(step) if rates else None)
            if subject.seen.due is last or step < steps // 10:
                continue
            asked = {
                "ours": lambda s=subject: seconds(lambda: s.forecast().interval(0.9)),
                "peer": lambda s=subject: by_hand(s),
            }
            for name in sorted(asked, reverse=len(taken["ours"]) % 2 == 0):
                taken[name].append(asked[name]())
    ours, peer = taken.values()
    return {
        "verdicts": len(ours),
        "ms_per_forecast": 1e3 * statistics.median(ours),
        "ms_per_curve_fit": 1e3 * statistics.median(peer),
        "ratio": statistics.median(ours) / statistics.median(peer),
        "ratio of means": statistics.fmean(ours) / statistics.fmean(peer),
    }


def verdict_cost(steps: int, *, turned: bool) -> dict[str, float]:
    """Milliseconds of each decision on top of its forecast, where both losses have just come, and in ``curve_fit``s.

    What train loss is traded for is asked where validation stands above its lowest by more than noise. So it is of a
    run whose validation has turned, and hardly ever of a healthy one. A forecast asks it too, and shares it with the
    verdict: so beside the sum of the decisions, each asked of nothing but a fit, stands what a verdict adds to the
    forecast that it carries, both of them paired and in turns; where nothing is said, and as decisions are by default.
    """
    data, every = losses(steps + _VERDICTS), steps // 25
    val = [loss + 0.02 + turned * 0.1 * max(0.0, math.log2(3 * k / steps)) for k, loss in enumerate(data, 1)]
    kinds: tuple[Decision, ...] = (Overfitting(level=_NEVER), ComputeEfficiency(level=_NEVER), Plateau(level=_NEVER))
    subject, usual = watcher(4 * steps, kinds), watcher(4 * steps)
    for step in range(1, steps + 1):
        for each in (subject, usual):
            each.update(step, data[step - 1], val_loss=val[step - 1] if step % every == 0 else None)
    taken: dict[str, list[float]] = {"forecast": [], **{type(d).__name__: [] for d in kinds}, "curve_fit": []}
    added: dict[str, list[float]] = {"not said": [], "by default": []}
    asked = 0
    for step in range(steps + 1, steps + _VERDICTS + 1):
        for each in (subject, usual):
            each.update(step, data[step - 1], val_loss=val[step - 1])
        taken["forecast"].append(seconds(lambda: subject.forecast().interval(0.9)))
        view = replace(subject.judge.view(), held=None)
        for decision in kinds:
            taken[type(decision).__name__].append(seconds(lambda d=decision, v=view: d.decide(v)))  # type: ignore[misc]
        asked += "trade" in view.__dict__
        bins = view.train
        guess = (0.8 * bins.mean[-1], bins.mean[0], 0.5)
        taken["curve_fit"].append(seconds(lambda b=bins, p=guess: curve_fit(power, b.step, b.mean, p0=p)))  # type: ignore[misc]
        for name, each in (("not said", subject), ("by default", usual)):
            added[name].append(beyond_its_forecast(each.judge, verdict_first=step % 2 == 0))
    found = {f"ms of {name}": 1e3 * statistics.median(each) for name, each in taken.items()}
    verdict = sum(found[f"ms of {type(decision).__name__}"] for decision in kinds)
    return found | {
        "ms of the verdict": verdict,
        "over the forecast": verdict / found["ms of forecast"],
        "in curve_fits": verdict / found["ms of curve_fit"],
        **{f"ms added to its forecast, {name}": 1e3 * statistics.median(each) for name, each in added.items()},
        "share of validations at which the trade was asked": asked / _VERDICTS,
    }


def beyond_its_forecast(judge: Judge, *, verdict_first: bool) -> float:
    """Seconds that a verdict takes more than the forecast that it carries, from the same fit, both asked afresh."""
    asked = {"forecast": lambda: judge.view().outlook, "verdict": lambda: judge.judged(None, None)}
    taken = {}
    for name in sorted(asked, reverse=verdict_first):
        judge.seen.trade = None
        taken[name] = seconds(asked[name])
    return taken["verdict"] - taken["forecast"]


@click.command()
@click.option("--rounds", default=ROUNDS, help="Rounds of the update benchmark.")
def main(rounds: int) -> None:
    figures = {
        "update 1e4": update_cost(10**4, rounds),
        "update 1e5": update_cost(10**5, rounds),
        "update 1e6": update_cost(10**6, max(2, rounds - 3)),
        "memory": memory(),
        "forecast, train": forecast_cost(10**4, val=False),
        "forecast, train and val": forecast_cost(10**4, val=True),
        "forecast where a verdict is due, train": forecast_cost(10**4, val=False, due=True),
        "forecast where a verdict is due, train and val": forecast_cost(10**4, val=True, due=True),
        **{
            f"forecast at verdicts as they come, {told}{', with validation' * val}": on_the_way(
                10**4, val=val, rates=rates
            )
            for told, rates in (("a plan", False), ("an end and rates", True))
            for val in (False, True)
        },
        "verdict, train and val": verdict_cost(10**4, turned=False),
        "verdict, validation has turned": verdict_cost(10**4, turned=True),
    }
    Console().print(table_of_costs(figures, "What a step costs"))
    print("written:", write("update_cost", figures, source="simulated power law with noise, seed 0"))


if __name__ == "__main__":
    main()
