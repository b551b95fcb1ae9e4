from __future__ import annotations

import copy
import functools
import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from curvecast.schedule import Schedule, is_conditional, replay_lrs

torch = pytest.importorskip("torch")
lrs = torch.optim.lr_scheduler
Make = Callable[[Any], Any]


class Cosine:
    """A stateless callable object, as users pass instead of a lambda."""

    def __call__(self, epoch: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * epoch / 50))


def halve_every(epoch: int, *, steps: int) -> float:
    return float(0.5 ** (epoch // steps))


MAKERS: dict[str, Make] = {
    "LambdaLR": lambda o: lrs.LambdaLR(o, lambda e: min(1.0, (e + 1) / 8) * 0.98**e),
    "LambdaLR of an object": lambda o: lrs.LambdaLR(o, Cosine()),
    "LambdaLR of a partial": lambda o: lrs.LambdaLR(o, functools.partial(halve_every, steps=9)),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda e: 0.9 if e % 3 else 1.0),
    "StepLR": lambda o: lrs.StepLR(o, 10, 0.3),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [5, 20, 21], 0.5),
    "ConstantLR": lambda o: lrs.ConstantLR(o, 0.3, 7),
    "LinearLR": lambda o: lrs.LinearLR(o, 0.1, 1.0, 12),
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.95),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, 40, 2.0),
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 30, 1e-5),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(o, 7, 2),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 1e-4, 1e-2, 9, mode="triangular2", cycle_momentum=True),
    "CyclicLR exp_range": lambda o: lrs.CyclicLR(o, 1e-4, 1e-2, 9, mode="exp_range", gamma=0.98),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, 1e-2, total_steps=60),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 1e-4, anneal_epochs=13),
    "SequentialLR": lambda o: lrs.SequentialLR(o, [lrs.LinearLR(o, 0.1, 1.0, 8), lrs.CosineAnnealingLR(o, 40)], [8]),
    "SequentialLR into SWALR": lambda o: lrs.SequentialLR(
        o, [lrs.ConstantLR(o, 1.0, 0), torch.optim.swa_utils.SWALR(o, 1e-4, anneal_epochs=9)], [11]
    ),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler([lrs.LinearLR(o, 0.2, 1.0, 6), lrs.ExponentialLR(o, 0.97)]),
    "nested": lambda o: lrs.ChainedScheduler(
        [
            lrs.SequentialLR(o, [lrs.LinearLR(o, 0.1, 1.0, 5), lrs.StepLR(o, 9, 0.5)], [5]),
            lrs.ExponentialLR(o, 0.99),
        ]
    ),
}


def make_optimizer(*, groups: int = 1, tensor_lr: bool = False) -> Any:
    lr: Any = torch.tensor(1e-2) if tensor_lr else 1e-2
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(groups)]
    if groups == 1:
        return torch.optim.AdamW(weights, lr=lr, capturable=False)
    return torch.optim.SGD([{"params": [w], "lr": 1e-2 * (k + 1)} for k, w in enumerate(weights)], momentum=0.9)


def really_step(scheduler: Any, optimizer: Any, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    used = []
    for _ in range(steps):
        used.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return np.array(used)


def frozen(scheduler: Any) -> str:
    """All that a scheduler and its optimizer hold, as text."""
    optimizer = scheduler.optimizer
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    children = [frozen(child) for child in getattr(scheduler, "_schedulers", [])]
    own = {k: v for k, v in vars(scheduler).items() if k not in ("optimizer", "_schedulers")}
    return repr((sorted(own.items()), groups, len(optimizer.state), children))


def test_every_scheduler_of_torch_is_tried() -> None:
    kinds = {
        name
        for name, kind in vars(lrs).items()
        if isinstance(kind, type) and issubclass(kind, lrs.LRScheduler) and not name.startswith("_")
    }
    assert kinds - {"LRScheduler", "ReduceLROnPlateau"} <= MAKERS.keys()


@pytest.mark.parametrize("name", MAKERS)
def test_replay_equals_really_stepping_and_leaves_the_live_one_alone(name: str) -> None:
    optimizer = make_optimizer()
    scheduler = MAKERS[name](optimizer)
    before = frozen(scheduler)
    ahead = replay_lrs(scheduler, 60)
    assert frozen(scheduler) == before
    assert ahead == pytest.approx(really_step(scheduler, optimizer, 60), rel=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_replay_from_the_middle_equals_what_follows(name: str) -> None:
    optimizer = make_optimizer()
    scheduler = MAKERS[name](optimizer)
    really_step(scheduler, optimizer, 23)
    before = frozen(scheduler)
    ahead = replay_lrs(scheduler, 30)
    assert frozen(scheduler) == before
    assert ahead == pytest.approx(really_step(scheduler, optimizer, 30), rel=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_from_torch_is_the_relative_lr_of_every_step(name: str) -> None:
    optimizer = make_optimizer()
    scheduler = MAKERS[name](optimizer)
    schedule = Schedule.from_torch(scheduler, steps=60)
    used = really_step(scheduler, optimizer, 60)
    assert schedule.horizon == 60
    assert schedule.lr(np.arange(1, 61)) == pytest.approx(used / used.max(), abs=1.01e-4)


def test_a_tensor_lr_is_replayed_and_not_written_to() -> None:
    optimizer = make_optimizer(tensor_lr=True)
    scheduler = lrs.ExponentialLR(optimizer, 0.9)
    ahead = replay_lrs(scheduler, 10)
    assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(1e-2)
    assert ahead == pytest.approx(1e-2 * 0.9 ** np.arange(10), rel=1e-5)


def test_the_group_with_the_largest_peak_counts() -> None:
    scheduler = lrs.ExponentialLR(make_optimizer(groups=3), 0.9)
    assert replay_lrs(scheduler, 3) == pytest.approx([3e-2, 2.7e-2, 2.43e-2])


def test_one_cycle_holds_its_last_lr_past_its_end() -> None:
    optimizer = make_optimizer()
    scheduler = lrs.OneCycleLR(optimizer, 1e-2, total_steps=20)
    ahead = replay_lrs(scheduler, 30)
    # Torch allows one step past the end, where the LR turns up again, and raises at the next.
    assert ahead[:20] == pytest.approx(really_step(scheduler, optimizer, 20))
    assert ahead[20:] == pytest.approx([float(optimizer.param_groups[0]["lr"])] * 10)
    with pytest.raises(ValueError, match="total"):
        really_step(scheduler, optimizer, 1)


def test_plateau_is_conditional_and_held() -> None:
    scheduler = lrs.ReduceLROnPlateau(make_optimizer(), factor=0.1, patience=0)
    scheduler.step(1.0)
    scheduler.step(2.0)
    assert is_conditional(scheduler)
    assert replay_lrs(scheduler, 5) == pytest.approx([1e-3] * 5)
    assert not is_conditional(lrs.StepLR(make_optimizer(), 3))


def test_a_wrapper_is_unwrapped() -> None:
    scheduler = lrs.StepLR(make_optimizer(), 2, 0.5)
    assert replay_lrs(SimpleNamespace(scheduler=scheduler), 3).tolist() == replay_lrs(scheduler, 3).tolist()


def test_steps_are_taken_at_the_interval_or_where_told() -> None:
    scheduler = lrs.ExponentialLR(make_optimizer(), 0.5)
    assert replay_lrs(scheduler, 5, interval=2) / 1e-2 == pytest.approx([1, 1, 0.5, 0.5, 0.25])
    assert replay_lrs(scheduler, 4, stepped=[True, False, False, True]) / 1e-2 == pytest.approx([1, 0.5, 0.5, 0.5])
    assert replay_lrs(scheduler, 3, stepped=[2, 0, 2]) / 1e-2 == pytest.approx([1, 0.25, 0.25])
    assert replay_lrs(scheduler, 3, stepped=lambda i: i == 1) / 1e-2 == pytest.approx([1, 1, 0.5])
    assert replay_lrs(scheduler, 0).tolist() == []


def test_no_warning_before_the_first_step() -> None:
    scheduler = lrs.StepLR(make_optimizer(), 2, 0.5)
    with warnings.catch_warnings(action="error"):
        replay_lrs(scheduler, 4)


class Uncopyable(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1000))

    def factor(self, epoch: int) -> float:
        return 0.5**epoch

    def __deepcopy__(self, memo: Any) -> Any:
        raise AssertionError("the model was copied")


def test_neither_the_model_nor_the_optimizer_state_is_copied() -> None:
    model = Uncopyable()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0)
    scheduler = lrs.LambdaLR(optimizer, model.factor)
    assert replay_lrs(scheduler, 3).tolist() == [1.0, 0.5, 0.25]
    scheduler.trainer = model
    assert replay_lrs(scheduler, 3, share=[model]).tolist() == [1.0, 0.5, 0.25]


def test_what_steps_beside_a_scheduler_is_none() -> None:
    """As a profiler does, or a bar."""
    scheduler = lrs.StepLR(make_optimizer(), 1, 0.5)
    scheduler.profiler = SimpleNamespace(step=lambda: None)
    assert Schedule.from_torch(scheduler, steps=3).knot_lrs == (1.0, 0.5, 0.25)
    assert Schedule.from_torch(scheduler, steps=1).knot_lrs == (1.0,)


def test_a_scheduler_that_has_stepped_needs_its_past() -> None:
    optimizer = make_optimizer()
    scheduler = lrs.SequentialLR(optimizer, [lrs.LinearLR(optimizer, 0.1, 1, 4), lrs.StepLR(optimizer, 9)], [4])
    whole = Schedule.from_torch(copy.deepcopy(scheduler), steps=30)
    past = really_step(scheduler, optimizer, 7)
    with pytest.raises(ValueError, match="`scheduler` must be fresh, or `past` given: got a SequentialLR"):
        Schedule.from_torch(scheduler, steps=30)
    assert Schedule.from_torch(scheduler, steps=30, past=past) == whole
    assert Schedule.from_torch(scheduler, steps=5, past=past).horizon == 5


class OwnClock:
    optimizer = SimpleNamespace(param_groups=[{"params": [], "lr": 1.0}])

    def step(self, epoch: int) -> None: ...


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: replay_lrs(s, -1), ValueError, "`steps` must not be negative"),
        (lambda s: replay_lrs(s, 5, interval=0), ValueError, "`interval` at least 1"),
        (
            lambda s: replay_lrs(s, 5, stepped=[True]),
            ValueError,
            "`stepped` must cover every step: got 1 of 5",
        ),
        (lambda s: Schedule.from_torch(s, steps=0), ValueError, "`steps` must be at least 1: got 0"),
        (lambda s: replay_lrs(3, 5), TypeError, "`scheduler` must have step.*: got int"),
        (lambda s: replay_lrs(OwnClock(), 5), TypeError, "must need no argument: got OwnClock.*needs epoch"),
    ],
)
def test_bad_input_says_what_got_do(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(lrs.StepLR(make_optimizer(), 3))


def test_what_cannot_be_copied_is_named() -> None:
    scheduler = lrs.StepLR(make_optimizer(), 3)
    scheduler.stream = (number for number in range(3))
    with pytest.raises(TypeError, match=r"`scheduler` must be copyable: got StepLR.*share="):
        replay_lrs(scheduler, 3)
