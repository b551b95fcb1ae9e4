"""The grid's closed forms against the same Gaussian model written out densely."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from curvecast.curve import NO_BINS, Bins, FloatArray, Series
from curvecast.fit.basis import Timeline, growth_term, power_term
from curvecast.fit.design import EARLY_WANDER
from curvecast.fit.fitting import fit
from curvecast.fit.grid import Grid, Where
from curvecast.fit.observed import Observations, has_turned, observe
from curvecast.fit.prior import Prior
from curvecast.fit.tables import LOWEST, A, B, G, tables
from curvecast.schedule import Schedule
from curvecast.testing import simulate


def grid_on(data: Observations, timeline: Timeline, prior: Prior) -> Grid:
    return Grid(data, timeline, prior, grows=bool(data.is_val.any() and has_turned(data)))


def grid_of(seed: int) -> Grid:
    prior = Prior(alpha_log_mean=-0.54, alpha_log_sd=0.25)  # whatever ships: of it seed 3 draws a run that turns up
    run = simulate(seed, prior=prior)
    train, val = Series(), Series()
    for step, t, v in zip(run.steps.astype(int).tolist(), run.train_loss, run.val_loss, strict=True):
        train.add(step, float(t))
        if np.isfinite(v):
            val.add(step, float(v))
    timeline = Timeline(run.schedule, prior.annealing_shape)
    return grid_on(observe(train.bins(), val.bins(), of_val=True), timeline, prior)


def everywhere(grid: Grid) -> Where:
    shape = (grid.xx.size, len(grid.tables.share), len(grid.zz), 1 + len(grid.onset))
    return Where(*(i.reshape(-1) for i in np.indices(shape)))


def tie(grid: Grid, where: Where) -> FloatArray:
    """How much of ``B`` comes with ``A``."""
    return np.asarray(grid.tie.reshape(*grid.tie.shape[:2], -1)[where.share, where.rate, where.cell])


def kept(grid: Grid) -> tuple[Where, FloatArray, FloatArray]:
    """The shapes that stand for all, their weights and coefficients."""
    where, scouted, _ = grid.scout()
    solved = grid.exact(where)
    weight = np.exp(solved.log_weight - scouted)
    return where, weight / weight.sum(), solved.theta


def dense(grid: Grid, where: Where, i: int) -> tuple[FloatArray, float]:
    """Posterior mean of ``[L_N, gap, b, G, A]`` and log-evidence of one shape, by dense linear algebra."""
    cell, share, rate, k = (int(axis[i]) for axis in where)
    data, prior = grid.data, grid.prior
    offset, alpha, window, drift = np.unravel_index(cell, grid.shape)
    clock, gains = grid.clock.at(np.append(data.now, data.step))
    u = clock[1:] / clock[0]
    floor = np.asarray(LOWEST * max(prior.window[window], 1e-3))
    power = power_term(u, grid.tables.alpha[alpha], grid.tables.offset[window, offset], floor)
    gain = gains[rate, 1:]
    onset = np.asarray(np.append(np.inf, grid.onset)[k])
    growth = data.is_val * growth_term(data.step / data.now, onset)
    X = np.column_stack([np.ones_like(u), data.is_val, -gain, growth, power - tie(grid, where)[i] * gain])
    steps = np.log(np.append(data.now, data.step))
    growing = prior.drift[drift] * (1.0 + prior.drift_growth * data.excess)
    rates = np.where(u < prior.window[window], np.maximum(EARLY_WANDER, growing), growing)
    clock = np.cumsum(rates**2 * -np.diff(steps))
    sds = [prior.converged_sd, prior.gap_sd, prior.annealing_sd, prior.growth_sd, prior.reducible_sd]
    mean = np.array([prior.converged, 0.0, grid.share[share, rate, 0], 0.0, prior.reducible])
    V = np.diag(np.square(sds))
    covariance = np.minimum.outer(clock, clock) + np.diag(data.noise)
    total = covariance + X @ V @ X.T
    miss = data.loss - X @ mean
    solved = np.linalg.solve(total, miss)
    return mean + V @ X.T @ solved, float(-0.5 * (miss @ solved + np.linalg.slogdet(total)[1]))


def overfitting() -> Grid:
    """A run whose validation loss turns up half-way, so that shapes with growth are on the grid."""
    rng = np.random.default_rng(7)
    train, val = Series(), Series()
    for step in range(1, 601):
        loss = 2.0 + 3.0 * float(step) ** -0.5
        train.add(step, loss + 0.02 * float(rng.standard_normal()))
        if step % 25 == 0:
            rise = 0.2 * max(0.0, math.log2(step / 300))
            val.add(step, loss + 0.1 + rise + 0.003 * float(rng.standard_normal()))
    prior = Prior()
    timeline = Timeline(Schedule.cosine(1000, warmup=20), prior.annealing_shape)
    return grid_on(observe(train.bins(), val.bins(), of_val=True), timeline, prior)


@pytest.mark.parametrize("grid", [grid_of(3), overfitting()], ids=["falling", "overfitting"])
def test_coefficients_equal_the_dense_posterior(grid: Grid) -> None:
    where = everywhere(grid)
    theta = grid.exact(where).theta
    for i in range(0, len(where.cell), 37):
        expected, _ = dense(grid, where, i)
        expected[B] += tie(grid, where)[i] * expected[A]
        np.testing.assert_allclose(theta[:, i], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grid", [grid_of(3), overfitting()], ids=["falling", "overfitting"])
def test_differences_of_log_weight_equal_the_dense_evidence(grid: Grid) -> None:
    """Among shapes whose signs are certain, beside the prior's own weights."""
    where = everywhere(grid)
    solved = grid.exact(where)
    sd = np.sqrt(np.square(solved.root).sum(axis=1))
    grows = where.onset > 0
    sure = (solved.theta[A] > 6.0 * sd[A]) & ((solved.theta[G] > 6.0 * sd[G]) | ~grows)
    kinds = [np.flatnonzero(sure & kind) for kind in (~grows, grows)]
    some = np.concatenate([kind[:: max(1, len(kind) // 30)] for kind in kinds])
    assert grows[some].any() == bool(len(grid.onset))
    by_onset = np.where(grows, grid.tables.log_onset, grid.tables.log_growth if len(grid.onset) else 0.0)
    by_shape = grid.tables.log_alpha.reshape(-1)[where.cell] + grid.tables.log_share[where.share] + by_onset
    evidence = np.array([dense(grid, where, int(i))[1] for i in some])
    got = (solved.log_weight - by_shape)[some]
    got, evidence = got - got.max(), evidence - evidence.max()
    near = evidence > -300.0
    np.testing.assert_allclose(got[near], evidence[near], atol=2e-3)
    # A shape further below the best may have its clock next to its pole, and loses digits that do not count.
    np.testing.assert_allclose(got, evidence, rtol=2e-4, atol=2e-3)


def test_the_evidence_of_all_shapes_is_the_density_of_the_losses() -> None:
    """Under a prior of one shape, and three shares of a decay, written out densely, in the unit of the losses."""
    shape = ((0.02, 0.8),)
    prior = Prior(alpha=(0.5,), offset=(0.0,), window=(0.02,), drift=(0.0012,), annealing_shape=shape, small=())
    grid = Grid(grid_of(3).data, Timeline(Schedule.cosine(4000), shape), prior, grows=False)
    where = everywhere(grid)
    each = [dense(grid, where, i)[1] + grid.tables.log_share[where.share[i]] for i in range(len(where.cell))]
    positive = math.log(ndtr(prior.reducible / prior.reducible_sd))  # beforehand; after the losses it is certain
    expected = np.logaddexp.reduce(each) + math.log(prior.growth) - positive
    expected -= len(grid.data.step) * math.log(grid.data.scale)
    assert grid.evidence(grid.scout()[2])[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_the_shapes_kept_stand_for_the_whole_grid(seed: int) -> None:
    """Means of the coefficients and the weight of each window and drift, over all shapes against those kept."""
    grid = grid_of(seed)
    where = everywhere(grid)
    theta, log_weight = grid.exact(where).theta, grid.exact(where).log_weight
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = theta @ weight
    sd = np.sqrt(np.square(theta - mean[:, None]) @ weight)
    chosen, share, coefficients = kept(grid)
    levels = [0, 2, 4]  # the gap has next to no spread of its own, growth a spike at zero
    np.testing.assert_allclose((coefficients @ share - mean)[levels] / sd[levels], 0.0, atol=0.25)
    walks = len(grid.logdet)
    by_window = [np.bincount(i % walks, w, walks) for i, w in ((where.cell, weight), (chosen.cell, share))]
    np.testing.assert_allclose(by_window[0], by_window[1], atol=0.03)


def test_exponents_that_no_prior_holds_likely_are_left_out_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data, large = grid_of(3).data, Prior().for_size(1e8)
    clock = Timeline(Schedule.cosine(40_000, warmup=50), large.annealing_shape)
    told = Grid(data, clock, large, grows=False)
    monkeypatch.setattr("curvecast.fit.grid.tables", tables.__wrapped__)  # made anew
    monkeypatch.setattr("curvecast.fit.tables._UNLIKELY", math.inf)
    every = Grid(data, clock, large, grows=False)
    assert 0 < len(told.tables.alpha) < len(every.tables.alpha) == len(large.alpha)
    np.testing.assert_allclose(told.scout()[2], every.scout()[2], rtol=1e-7)
    ours, theirs = (grid.shapes(grid.scout()[0]) for grid in (told, every))
    np.testing.assert_array_equal(ours, theirs)
    assert len(Grid(data, clock, Prior().for_size(None), grows=False).tables.alpha) == len(large.alpha)


class Begun:
    """A clock whose rate is taken to have fallen, by next to nothing: then no annealing shape stands for others."""

    def __init__(self, clock: Timeline) -> None:
        self.clock, self.end = clock, clock.end

    def at(self, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        time, gain = self.clock.at(step)
        return time, gain + 1e-200


@pytest.mark.parametrize("of_val", [False, True], ids=["falling", "overfitting"])
@pytest.mark.parametrize("plan", [None, Schedule.wsd(40_000, warmup=50)], ids=["no plan", "before its decay"])
def test_before_the_rate_falls_one_plane_stands_for_all_shares_and_annealing_shapes(
    plan: Schedule | None, of_val: bool
) -> None:
    data, prior = (overfitting() if of_val else grid_of(3)).data, Prior().for_size(None)
    clock, grows = Timeline(plan, prior.annealing_shape), of_val
    one, each = (Grid(data, at, prior, grows=grows) for at in (clock, Begun(clock)))
    assert (one.x2.shape[:2], each.x2.shape[:2]) == ((1, 1), (len(one.tables.share), len(prior.annealing_shape)))
    (here, scouted, of_all), (there, scouted_of_each, of_each) = one.scout(), each.scout()
    assert len(set(here.rate.tolist())) > 1 < len(set(here.share.tolist()))
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(scouted, scouted_of_each, rtol=1e-9)
    np.testing.assert_allclose(of_all, of_each, rtol=1e-12)
    solved, solved_of_each = one.exact(here), each.exact(there)
    np.testing.assert_allclose(solved.rows, solved_of_each.rows, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(solved.log_weight, solved_of_each.log_weight, rtol=1e-9)


def test_the_posterior_sums_to_one_and_is_deterministic() -> None:
    run = simulate(1)
    series = Series()
    for step, loss in zip(run.steps.astype(int).tolist(), run.train_loss.tolist(), strict=True):
        series.add(step, loss)
    timeline = Timeline(run.schedule, Prior().annealing_shape)
    first, second = (fit(series.bins(), Series().bins(), timeline, Prior(), of_val=False) for _ in range(2))
    assert first.weight.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(first.theta, second.theta)


@pytest.mark.parametrize(("rise", "asked"), [(-0.01, False), (0.004, False), (0.05, True)])
def test_growth_is_looked_for_where_validation_has_turned(rise: float, asked: bool) -> None:
    """A fall, or a rise within its noise, tells of no onset."""
    val = Series()
    for step in range(10, 401, 10):
        wiggle = 0.004 * (-1.0) ** (step // 10)
        val.add(step, 2.0 + max(0.0, 0.5 - step / 400.0) + wiggle + rise * max(0.0, step - 300.0) / 100.0)
    timeline = Timeline(None, Prior().annealing_shape)
    grid = grid_on(observe(Series().bins(), val.bins(), of_val=True), timeline, Prior())
    assert bool(len(grid.onset)) is asked


@pytest.mark.parametrize("turn", [150, 300])
def test_growth_is_scouted_right_on_validation_alone(turn: int) -> None:
    """P(growth) over all shapes against those kept, around the onset."""
    rng = np.random.default_rng(turn)
    val = Series()
    for step in range(25, 451, 25):
        rise = 0.15 * max(0.0, math.log2(step / turn))
        val.add(step, 2.0 + 3.0 * float(step) ** -0.5 + rise + 0.003 * float(rng.standard_normal()))
    timeline = Timeline(None, Prior().annealing_shape)
    grid = grid_on(observe(Series().bins(), val.bins(), of_val=True), timeline, Prior(growth=0.7))
    where = everywhere(grid)
    log_weight = grid.exact(where).log_weight
    weight = np.exp(log_weight - log_weight.max())
    chosen, share, _ = kept(grid)
    assert share @ (chosen.onset > 0) == pytest.approx(weight @ (where.onset > 0) / weight.sum(), abs=0.1)


def level(noise: float, slope: float, *, steps: int = 400) -> Series:
    """A loss that has levelled off, but for a slope [loss unit per e-fold of steps]."""
    rng = np.random.default_rng(5)
    series = Series()
    for step in range(10, steps + 1, 10):
        series.add(step, 2.0 - slope * math.log(step / steps) + noise * float(rng.standard_normal()))
    return series


@pytest.mark.parametrize(("noise", "slope"), [(0.01, 0.0), (0.01, 0.004), (0.03, 0.01)])
def test_the_weight_of_a_flat_run_is_that_of_the_dense_evidence(noise: float, slope: float) -> None:
    """Over all shapes, with every constant, against the share that the posterior gives it."""
    prior = Prior(flat=0.3)
    timeline = Timeline(Schedule.cosine(1000, warmup=20), prior.annealing_shape)
    train = level(noise, slope).bins()
    grid = grid_on(observe(train, Series().bins(), of_val=False), timeline, prior)
    where = everywhere(grid)
    solved = grid.exact(where)
    sure = ndtr(solved.theta[A] / np.sqrt(np.square(solved.root[A]).sum(axis=0)))
    likely = ndtr(prior.reducible / prior.reducible_sd)
    evidence = np.array([dense(grid, where, i)[1] for i in range(len(where.cell))])
    log_prior = grid.tables.log_alpha.reshape(-1)[where.cell] + grid.tables.log_share[where.share]
    weights = np.exp(log_prior) / np.exp(log_prior).sum()
    falling = float(np.sum(weights * np.exp(evidence - evidence.max()) * sure / likely))
    flat = float(np.mean([np.exp(dense_flat(grid, walk) - evidence.max()) for walk in range(len(grid.logdet))]))
    expected = 0.3 * flat / (0.3 * flat + 0.7 * falling)
    posterior = fit(train, Series().bins(), timeline, prior, of_val=False)
    got = float(posterior.weight[np.abs(posterior.theta[A]) == 0.0].sum())
    assert got == pytest.approx(expected, abs=0.03)


def dense_flat(grid: Grid, walk: int) -> float:
    """Log-evidence of the levels alone."""
    data, prior = grid.data, grid.prior
    window, drift = divmod(walk, len(prior.drift))
    clock, _ = grid.clock.at(np.append(data.now, data.step))
    steps = np.log(np.append(data.now, data.step))
    growing = prior.drift[drift] * (1.0 + prior.drift_growth * data.excess)
    early = clock[1:] / clock[0] < prior.window[window]
    walked = np.cumsum(np.where(early, np.maximum(EARLY_WANDER, growing), growing) ** 2 * -np.diff(steps))
    total = np.minimum.outer(walked, walked) + np.diag(data.noise) + prior.converged_sd**2
    miss = data.loss - prior.converged
    return float(-0.5 * (miss @ np.linalg.solve(total, miss) + np.linalg.slogdet(total)[1]))


def test_a_run_that_falls_carries_no_flat_shape() -> None:
    run, prior = simulate(3), Prior()
    train = Series()
    for step, loss in zip(run.steps.astype(int).tolist(), run.train_loss, strict=True):
        train.add(step, float(loss))
    posterior = fit(train.bins(), Series().bins(), Timeline(run.schedule, prior.annealing_shape), prior, of_val=False)
    assert np.all(posterior.theta[A] > 0.0)


def test_a_run_that_has_levelled_off_is_expected_to_stay() -> None:
    prior = Prior()
    timeline = Timeline(Schedule.cosine(2000, warmup=20), prior.annealing_shape)
    posterior = fit(level(0.004, 0.0).bins(), Series().bins(), timeline, prior, of_val=False)
    mean, _ = posterior.moments(np.array([2000.0]), val=False)
    assert float((mean @ posterior.weight)[0]) == pytest.approx(2.0, rel=0.003)


def test_a_run_that_fell_and_levelled_off_may_still_gain_from_a_decay() -> None:
    """As networks do at a constant rate: the drop at its end is nothing that the level tells against."""
    train, prior, rng = Series(), Prior(), np.random.default_rng(1)
    for step in range(10, 1001, 10):
        train.add(step, 2.0 + 1.0 * math.exp(-step / 40.0) + 0.004 * float(rng.standard_normal()))
    timeline = Timeline(Schedule.wsd(1200, decay=0.15), prior.annealing_shape)
    posterior = fit(train.bins(), Series().bins(), timeline, prior, of_val=False)
    mean, _ = posterior.moments(np.array([1200.0]), val=False)
    assert float((mean @ posterior.weight)[0]) < 1.95


def test_a_shape_that_is_drawn_several_times_is_kept_once_with_all_their_weight() -> None:
    """So of losses that tell much there are few."""
    step, prior = np.geomspace(1.0, 1000.0, 60), Prior()
    bins = Bins(step, 2.0 + 3.0 * step**-0.4, np.ones(60), 1e-6)
    posterior = fit(bins, NO_BINS, Timeline(None, prior.annealing_shape), prior, of_val=False)
    rows = np.concatenate([posterior.theta, *posterior.root, [posterior.alpha, posterior.offset, posterior.rate]])
    assert (rows[:, 1:] != rows[:, :-1]).any(axis=0).all()
    assert len(posterior.lawful.weight) < 32
    assert posterior.weight.sum() == pytest.approx(1.0)
