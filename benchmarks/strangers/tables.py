"""Networks on sequences that are made by rule, tables, functions, ratings, an equation, and other networks."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn, optim
from torch.nn import functional

from strangers import recipe as by
from strangers import tasks
from strangers.nets import Factors, Reader, Recurrent, Transformer, mlp
from strangers.recipe import Recipe


def on_sequences() -> list[Recipe]:
    """What is made by rule: some of it is grasped at once, some late, some never."""
    return [
        Recipe(
            name="sorting-gru",
            model=partial(Recurrent, nn.GRU, 16, 64, layers=2),
            task=lambda: tasks.sequences(lambda x: x.sort(1).values, 16, 8),
            optimizer=by.adam(3e-3),
            plan=by.inverse_root(100),
            steps=1500,
            batch=48,
            val_every=50,
        ),
        Recipe(
            name="reversing-transformer",
            model=partial(Transformer, 16, 48),
            task=lambda: tasks.sequences(lambda x: x.flip(1), 16, 10),
            optimizer=by.adamw(1e-3),
            plan=by.warm_linear,
            steps=1500,
            batch=32,
            means=True,
            val_every=75,
        ),
        Recipe(
            name="sums-grokked",
            model=partial(Transformer, 31, 48, time=2, depth=1, causal=False),
            task=lambda: tasks.modular_sums(31, 0.5),
            optimizer=by.adamw(2e-3, 1.0, betas=(0.9, 0.98)),
            steps=4000,
            batch=256,
            val_every=100,
        ),
        Recipe(
            name="parity-short",
            model=partial(Reader, 1, 32, 2),
            task=lambda: tasks.parity(8),
            optimizer=by.adam(5e-3),
            plan=by.cosine,
            steps=1500,
            batch=64,
            val_every=50,
        ),
        Recipe(
            name="parity-long-stalls",
            model=partial(mlp, 40, 64, 2),
            task=lambda: tasks.parity(40),
            optimizer=by.adam(1e-3),
            steps=2000,
            batch=64,
            val_every=100,
        ),
        Recipe(
            name="waves-gru",
            model=partial(Reader, 1, 48, 1),
            task=tasks.waves,
            optimizer=by.adam(5e-3),
            plan=by.step_by(0.3, 0.2),
            steps=1500,
            batch=48,
            val_every=50,
        ),
    ]


def on_tables() -> list[Recipe]:
    """Tables, functions, ratings, an equation, and other networks."""
    teacher = partial(mlp, 20, 32, 1, act=nn.Tanh)
    return [
        Recipe(
            name="cancer-nesterov-restarts",
            model=partial(mlp, 30, 32, 32, 2, norm=True),
            task=tasks.cancer,
            optimizer=by.sgd(0.02, 0.9, nesterov=True),
            plan=by.restarts(1 / 7, 2),
            plan_every=13,
            steps=910,
            batch=32,
            train_every=13,
            means=True,
            val_every=13,
        ),
        Recipe(
            name="wine-whole-batch",
            model=partial(mlp, 13, 32, 3, drop=0.2),
            task=tasks.wine,
            optimizer=by.adam(1e-3, weight_decay=1e-3),
            steps=600,
            batch=120,
            train_every=1,
            val_every=10,
        ),
        Recipe(
            name="diabetes-huber-plateau",
            model=partial(mlp, 10, 64, 64, 1, drop=0.1),
            task=tasks.diabetes,
            optimizer=by.adam(3e-3),
            plan=by.on_plateau(10, 0.5),
            plan_every=10,
            steps=1500,
            batch=32,
            val_every=10,
        ),
        Recipe(
            name="prices-unscaled",
            model=partial(mlp, 5, 64, 64, 1),
            task=tasks.prices,
            optimizer=by.adam(3e-3),
            plan=by.drops_at(0.5, 0.8),
            steps=4000,
            batch=64,
            train_every=20,
            val_every=200,
        ),
        Recipe(
            name="likelihood-negative",
            model=partial(mlp, 2, 64, 64, 2, act=nn.Tanh),
            task=tasks.uneven,
            optimizer=by.adam(3e-3),
            plan=by.cosine,
            steps=3000,
            batch=64,
            val_every=100,
        ),
        Recipe(
            name="ratings-learnt-by-heart",
            model=partial(Factors, 300, 400, 16),
            task=lambda: tasks.ratings(15_000),
            optimizer=by.adam(3e-3),
            steps=3000,
            batch=256,
            train_every=30,
            means=True,
            val_every=60,
        ),
        Recipe(
            name="ratings-adagrad",
            model=partial(Factors, 300, 400, 4),
            task=lambda: tasks.ratings(60_000),
            optimizer=partial(optim.Adagrad, lr=0.1),
            steps=3000,
            batch=256,
            train_every=10,
            val_every=100,
        ),
        Recipe(
            name="equation-exponential",
            model=partial(mlp, 1, 32, 32, 1, act=nn.Tanh),
            task=tasks.equation,
            optimizer=by.adam(3e-3),
            plan=by.exponential(0.05),
            steps=3000,
            batch=64,
            train_every=10,
        ),
        Recipe(
            name="student-distilled",
            model=partial(mlp, 20, 64, 64, 10),
            task=lambda: tasks.taught(mlp(20, 48, 10, act=nn.Tanh), 20, tasks.divergence, "nats/row"),
            optimizer=by.adam(2e-3),
            plan=by.drops_at(0.6, 0.8, 0.9, factor=0.3),
            steps=4000,
            batch=64,
            train_every=20,
            val_every=100,
        ),
        Recipe(
            name="linear-saddles",
            model=lambda: shrunk(mlp(16, 16, 16, 16, act=nn.Identity), 0.15),
            task=lambda: tasks.taught(mlp(16, 4, 16, act=nn.Identity), 16, functional.mse_loss, "squared output"),
            optimizer=by.sgd(1.0),
            steps=3000,
            batch=64,
            val_every=100,
        ),
        Recipe(
            name="teacher-rate-range-test",
            model=partial(mlp, 20, 64, 1),
            task=lambda: tasks.taught(teacher(), 20, functional.mse_loss, "squared output"),
            optimizer=by.sgd(1e-4),
            plan=by.range_test(1e6),
            steps=1000,
            batch=32,
            train_every=5,
        ),
        Recipe(
            name="sigmoids-deep-stall",
            model=partial(mlp, 20, *(32,) * 8, 1, act=nn.Sigmoid),
            task=lambda: tasks.taught(teacher(), 20, functional.mse_loss, "squared output"),
            optimizer=by.sgd(0.1),
            plan=by.cosine,
            steps=1500,
            batch=32,
            val_every=75,
        ),
    ]


def shrunk(model: nn.Module, factor: float) -> nn.Module:
    """Weights that begin so small that they are first learnt along a saddle."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model
