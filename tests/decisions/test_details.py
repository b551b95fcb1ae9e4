"""What stands behind a verdict is worked out when it is asked for, and is then what it would have been at once."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from curvecast import ComputeEfficiency, Decision, Finding, Overfitting, Plateau, Reason, Verdict, View, Watcher


class Wordy:
    """Fires at every verdict, and counts how often its sentence is asked for."""

    asked = 0

    def decide(self, view: View) -> Finding:
        def says() -> str:
            self.asked += 1
            return f"step {view.step}: enough is enough."

        return view.stop(Reason.PLATEAU, 0.97, says)


def verdicts(watcher: Watcher) -> Iterator[Verdict]:
    """The verdicts of a run that passes its compute-efficient point, and then turns."""
    noise = 0.01 * np.random.default_rng(0).standard_normal(1500)
    for step in range(1, 1501):
        loss = 2.0 + 3.0 * step**-0.7 + float(noise[step - 1])
        turned = 0.1 * max(0.0, math.log2(step / 1000))
        before = watcher.verdict
        watcher.update(step, loss, val_loss=loss + turned if step % 25 == 0 else None, seconds=0.1 * step)
        if watcher.verdict is not before:
            yield watcher.verdict


def watcher() -> Watcher:
    judged: list[Decision] = [Overfitting(), ComputeEfficiency(level=0.6), Plateau()]
    return Watcher(horizon=4000, num_params=1e6, batch_tokens=1e4, decisions=judged)


def told(verdict: Verdict) -> tuple[Any, ...]:
    return verdict.message, dict(verdict.details), verdict.choices


def test_a_sentence_is_made_when_it_is_asked_for_and_once() -> None:
    wordy = Wordy()
    *_, last = verdicts(Watcher(horizon=4000, decisions=[wordy]))
    assert wordy.asked == 0
    assert last.message.startswith(f"step {last.step}: enough is enough. Stop here: ")
    assert last.message == last.message
    assert wordy.asked == 1


def test_a_verdict_that_is_asked_late_says_what_it_said_at_once() -> None:
    at_once = [told(verdict) for verdict in verdicts(watcher())]
    kept = list(verdicts(watcher()))
    assert {verdict.reason for verdict in kept} >= {Reason.ON_TRACK, Reason.COMPUTE_EFFICIENT_POINT_PASSED}
    assert [told(verdict) for verdict in kept] == at_once


def test_asking_changes_no_later_verdict() -> None:
    asked, unasked = watcher(), watcher()
    for verdict in verdicts(asked):
        told(verdict)
    assert [verdict.reason for verdict in verdicts(unasked)][-1] is asked.verdict.reason
    assert repr(unasked.state_dict()) == repr(asked.state_dict())


def test_a_pickled_verdict_holds_what_it_says_and_not_the_run() -> None:
    for verdict in (list(verdicts(watcher()))[k] for k in (10, -1)):
        pickled = pickle.dumps(verdict)
        assert told(pickle.loads(pickled)) == told(verdict)
        assert len(pickled) < 5 * len(pickle.dumps(verdict.forecast))


class Spiky:
    """Fires at every verdict, and tells the spikes so far when its sentence is asked for."""

    def decide(self, view: View) -> Finding:
        return view.stop(Reason.PLATEAU, 0.97, lambda: f"step {view.step}: {view.alarm.spikes} spikes.")


def test_a_sentence_tells_of_the_alarm_as_it_was() -> None:
    subject = Watcher(horizon=4000, decisions=[Spiky()])
    kept = []
    for step in range(1, 1001):
        loss = 2.0 + 3.0 * step**-0.7 + (10.0 if step % 300 == 0 else 0.0)
        if subject.verdict is not subject.update(step, loss):
            kept.append(subject.verdict)
    spikes = [int(verdict.message.split(": ")[1].split()[0]) for verdict in kept[1:]]
    assert spikes == [sum(at < verdict.step for at in (300, 600, 900)) for verdict in kept[1:]]
