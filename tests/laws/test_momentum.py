from __future__ import annotations

import numpy as np
import pytest

from curvecast.laws.momentum import momentum_law, momentum_terms
from curvecast.schedule import Schedule

COSINE = Schedule.cosine(3000, warmup=100, floor=0.1).lr(np.arange(1, 3001))


def by_hand(lr: list[float], decay: float) -> list[float]:
    m, area, out = 0.0, 0.0, []
    for k, eta in enumerate(lr):
        m = decay * m + (lr[k - 1] - eta if k else 0.0)
        area += m
        out.append(area)
    return out


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 0.999, 0.9997])
@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 2000])
def test_terms_are_the_recursion(decay: float, n: int) -> None:
    lr = (0.1 + np.random.default_rng(n).random(n)).tolist()
    S1, S2 = momentum_terms(lr, decay=decay)
    assert pytest.approx(np.cumsum(lr)) == S1
    assert pytest.approx(by_hand(lr, decay), abs=1e-10) == S2


def test_warmup_counts_as_the_peak() -> None:
    S1, S2 = momentum_terms(COSINE, warmup=100)
    assert S1[99] == pytest.approx(100)
    assert np.all(S2[:100] == 0)
    assert np.all(np.diff(S2) >= 0)


def test_constant_has_no_annealing() -> None:
    assert momentum_terms([0.3] * 700)[1] == pytest.approx(0)


def test_terms_scale_with_the_lr() -> None:
    for small, large in zip(momentum_terms(COSINE), momentum_terms(7 * COSINE), strict=True):
        assert large == pytest.approx(7 * small)


def test_steps_at_zero_lr_change_nothing() -> None:
    theta = (2.6, 4.0, 0.5, 0.002)
    padded = np.concatenate([COSINE, np.zeros(500)])
    losses = momentum_law(theta, padded, [3000, 3001, 3500])
    assert losses == pytest.approx(momentum_law(theta, COSINE, [3000]).item())
    paused = np.insert(COSINE, 1500, np.zeros(50))
    assert momentum_law(theta, paused, [3050]) == pytest.approx(momentum_law(theta, COSINE, [3000]))


def test_annealing_lowers_the_loss_below_that_of_the_same_summed_lr() -> None:
    S1, _ = momentum_terms(COSINE)
    with_drop = momentum_law((2.6, 4.0, 0.5, 0.002), COSINE, [3000], warmup=100)
    assert with_drop < 2.6 + 4.0 * S1[-1] ** -0.5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"lr": []}, "`lr` must be one LR a step"),
        ({"lr": [-1.0]}, "none negative"),
        ({"lr": [1.0], "decay": 1.0}, r"`decay` must lie in \[0, 1\).*got decay=1.0"),
        ({"lr": [1.0], "warmup": 2}, "warmup=2"),
    ],
)
def test_bad_input_says_what_got_do(kwargs: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        momentum_terms(**kwargs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`steps` must lie between 1 and 2: got 3"):
        momentum_law((1.0, 1.0, 0.5, 0.0), [1.0, 1.0], [3])
