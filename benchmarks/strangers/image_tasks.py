"""Tasks of ``stranger_runs.py`` on images: scikit-learn's digits, and patches of the two photographs that it brings."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import torch
from sklearn.datasets import load_digits, load_sample_images
from torch import Generator, Tensor, nn
from torch.nn import functional

from strangers.tasks import Batch, Task, cross_entropy, fixed, gauss, of_outputs, rows_of, split


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's digits in a seeded order: images ``(1797, 1, 8, 8)`` from 0 to 1, and their names."""
    pixels, names = load_digits(return_X_y=True)
    order = torch.randperm(len(names), generator=fixed(0))
    return torch.tensor(pixels, dtype=torch.float32)[order].view(-1, 1, 8, 8) / 16, torch.tensor(names)[order]


@cache
def patches(size: int = 16) -> tuple[Tensor, Tensor]:
    """Every ninth patch of scikit-learn's two photographs, ``(n, 3, size, size)`` from 0 to 1, and of which."""
    photographs = [torch.tensor(image).permute(2, 0, 1).float() / 255 for image in load_sample_images().images]
    cut = [
        p.unfold(1, size, 9).unfold(2, size, 9).permute(1, 2, 0, 3, 4).reshape(-1, 3, size, size) for p in photographs
    ]
    order = torch.randperm(sum(map(len, cut)), generator=fixed(0))
    names = torch.cat([torch.full((len(part),), k) for k, part in enumerate(cut)])
    return torch.cat(cut)[order], names[order]


def shifted(images: Tensor, by: Generator) -> Tensor:
    """All of a batch moved by up to a pixel each way, and made a little brighter or darker."""
    dx, dy = torch.randint(-1, 2, (2,), generator=by).tolist()
    return torch.roll(images, (dx, dy), (2, 3)) * (1.0 + 0.2 * gauss(len(images), 1, 1, 1, by=by))


def name_digits(rows: int = 1300, *, augment: bool = False, wrong: float = 0.0, smoothing: float = 0.0) -> Task:
    """Which digit an image shows; a share of the labels to learn from drawn at random."""
    x, y = digits()
    labels = torch.where(
        torch.rand(rows, generator=fixed()) < wrong, torch.randint(10, (rows,), generator=fixed(2)), y[:rows]
    )
    plain = rows_of(x[:rows], labels)

    def draw(count: int, by: Generator) -> Batch:
        images, names = plain(count, by)
        return (shifted(images, by) if augment else images), names

    loss = of_outputs(partial(cross_entropy, smoothing=smoothing))
    return Task(draw, (x[1300:], y[1300:]), loss, "nats/image")


def some_digits(names: tuple[int, ...]) -> Task:
    """Only these digits."""
    x, y = digits()
    which = torch.isin(y, torch.tensor(names))
    return split(x[which], y[which], 600, cross_entropy, "nats/image")


def which_photograph(images: int = 3000) -> Task:
    """Of which of the two photographs a patch is."""
    x, which = (part[: images + 1000] for part in patches())
    return split(x, which, images, cross_entropy, "nats/patch")


def turned_patches() -> Task:
    """By how many quarters a patch was turned (Gidaris et al. 2018, arXiv:1803.07728)."""
    x, _ = patches()

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        images, turns = part[torch.randint(len(part), (count,), generator=by)], torch.arange(count) % 4
        return torch.stack([torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, turns, strict=True)]), turns

    return Task(partial(draw, x[:4000]), draw(x[4000:], 500, fixed()), of_outputs(cross_entropy), "nats/patch")


def restored(
    images: Tensor, rows: int, spoil: Callable[[Tensor, Generator], Tensor], loss: Callable[..., Tensor], unit: str
) -> Task:
    """Images from what `spoil` leaves of them."""

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        clean = part[torch.randint(len(part), (count,), generator=by)]
        return spoil(clean, by), clean

    return Task(partial(draw, images[:rows]), draw(images[rows:], 400, fixed()), of_outputs(loss), unit)


def as_they_are(images: Tensor, by: Generator) -> Tensor:
    return images


def noisy(images: Tensor, by: Generator) -> Tensor:
    return images + 0.2 * torch.randn(images.shape, generator=by)


def coarse(images: Tensor, by: Generator) -> Tensor:
    return functional.interpolate(functional.avg_pool2d(images, 4), scale_factor=4)


def diffused(images: Tensor, rows: int) -> Task:
    """The noise in an image of which a cosine schedule left a part (Ho et al. 2020, arXiv:2006.11239)."""

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        clean = 2.0 * part[torch.randint(len(part), (count,), generator=by)] - 1.0
        time, noise = torch.rand(count, 1, 1, 1, generator=by), torch.randn(clean.shape, generator=by)
        seen = torch.cos(0.5 * math.pi * time) * clean + torch.sin(0.5 * math.pi * time) * noise
        return torch.cat([seen, time.expand(-1, 1, *seen.shape[2:])], 1), noise

    loss = of_outputs(functional.mse_loss)
    return Task(partial(draw, images[:rows]), draw(images[rows:], 400, fixed()), loss, "squared noise")


def evidence(images: Tensor, rows: int, latent: int, *, gaussian: bool) -> Task:
    """The negative evidence bound of a variational autoencoder: of Bernoulli pixels, or of Gaussian ones (sd 0.1)."""

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        return part[torch.randint(len(part), (count,), generator=by)], gauss(count, latent, by=by)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        out, mean, log_var = model(*batch)
        pixels = batch[0].flatten(1)
        off = functional.binary_cross_entropy_with_logits(out, pixels, reduction="none")
        if gaussian:
            off = 0.5 * ((out - pixels) / 0.1) ** 2 + math.log(0.1 * math.sqrt(2 * math.pi))
        farther: Tensor = 0.5 * (mean**2 + log_var.exp() - log_var - 1.0).sum(1)
        return (off.sum(1) + farther).mean()

    return Task(partial(draw, images[:rows]), draw(images[rows:], 400, fixed()), loss, "nats/image")


def two_views(rows: int = 1300, heat: float = 0.2) -> Task:
    """Which of a batch of noisy images shows the same one (Chen et al. 2020, arXiv:2002.05709)."""
    x, _ = digits()

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        images = part[torch.randperm(len(part), generator=by)[:count]]
        return tuple(shifted(images, by) + 0.3 * torch.randn(images.shape, generator=by) for _ in range(2))

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        one, other = (functional.normalize(model(view)) for view in batch)
        return cross_entropy(one @ other.T / heat, torch.arange(len(one)))

    return Task(partial(draw, x[:rows]), draw(x[rows:], 128, fixed()), loss, "nats/image")


def triplets(rows: int = 1300) -> Task:
    """Images of one digit nearer to each other than to another's, by a margin."""
    x, y = digits()
    early = [(y[:rows] == k).nonzero()[:, 0] for k in range(10)]
    late = [rows + (y[rows:] == k).nonzero()[:, 0] for k in range(10)]

    def draw(places: list[Tensor], count: int, by: Generator) -> Batch:
        own = torch.randint(10, (count,), generator=by).tolist()
        shift = torch.randint(1, 10, (count,), generator=by).tolist()

        def of(k: int) -> int:
            return int(places[k][torch.randint(len(places[k]), (1,), generator=by)])

        at = torch.tensor([(of(k), of(k), of((k + s) % 10)) for k, s in zip(own, shift, strict=True)])
        return x[at[:, 0]], x[at[:, 1]], x[at[:, 2]]

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return functional.triplet_margin_loss(model(batch[0]), model(batch[1]), model(batch[2]))

    return Task(partial(draw, early), draw(late, 400, fixed()), loss, "distance")


def painted() -> Task:
    """The colour of a photograph at a place: pixels to learn, others held out."""
    image = torch.tensor(load_sample_images().images[1]).float()[::4, ::4] / 127.5 - 1.0
    places = torch.cartesian_prod(torch.linspace(-1, 1, image.shape[0]), torch.linspace(-1, 1, image.shape[1]))
    return split(places, image.reshape(-1, 3), 14_000, functional.mse_loss, "squared colour")
