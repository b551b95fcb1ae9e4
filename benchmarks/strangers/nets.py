"""The networks of ``stranger_runs.py``, and the two parts that PyTorch does not bring: Lion and low-rank adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def mlp(
    *sizes: int, act: type[nn.Module] = nn.ReLU, norm: bool = False, drop: float = 0.0, bias: bool = True
) -> nn.Sequential:
    """Linear layers of these sizes, with an activation between them, batch-norm and dropout where they are wanted."""
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in pairwise(sizes[:-1]):
        layers += [nn.Linear(n_in, n_out, bias=bias), *([nn.BatchNorm1d(n_out)] if norm else []), act()]
        layers += [nn.Dropout(drop)] if drop else []
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1], bias=bias))


def cnn(channels: int, width: int, outputs: int, *, norm: bool = True, drop: float = 0.0) -> nn.Sequential:
    """Three convolutions, the mean over the image, a linear layer."""
    layers: list[nn.Module] = []
    for n_in, n_out, stride in ((channels, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1)):
        convolution = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1)
        layers += [convolution, *([nn.BatchNorm2d(n_out)] if norm else []), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(drop), nn.Linear(2 * width, outputs)
    )


def pixel_net(channels: int, width: int, extra: int = 0) -> nn.Sequential:
    """Images to images of the same size: a convolutional autoencoder with a narrow middle; `extra` channels come in."""
    return nn.Sequential(
        nn.Conv2d(channels + extra, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * width, width // 2, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(width // 2, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, channels, 3, padding=1),
    )


class Recurrent(nn.Module):
    """Symbols in, next-symbol logits out, through an LSTM or a GRU."""

    def __init__(self, cell: Callable[..., nn.Module], symbols: int, width: int, *, layers: int = 1, drop: float = 0.0):
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.cell = cell(width, width, layers, batch_first=True, dropout=drop if layers > 1 else 0.0)
        self.drop, self.head = nn.Dropout(drop), nn.Linear(width, symbols)

    def forward(self, symbols: Tensor) -> Tensor:
        """``(batch, time)`` to ``(batch, time, symbols)``."""
        hidden, _ = self.cell(self.drop(self.embed(symbols)))
        return torch.as_tensor(self.head(self.drop(hidden)))


class Convolved(nn.Module):
    """The same through dilated causal convolutions."""

    def __init__(self, symbols: int, width: int, depth: int = 4) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(symbols, width), nn.Linear(width, symbols)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 2, dilation=2**k) for k in range(depth))

    def forward(self, symbols: Tensor) -> Tensor:
        """``(batch, time)`` to ``(batch, time, symbols)``."""
        x = self.embed(symbols).transpose(1, 2)
        for k, layer in enumerate(self.layers):
            x = x + functional.gelu(layer(functional.pad(x, (2**k, 0))))
        return torch.as_tensor(self.head(x.transpose(1, 2)))


class Transformer(nn.Module):
    """Symbols in, logits out; blind to what comes later where it is ``causal``."""

    def __init__(
        self,
        symbols: int,
        width: int,
        *,
        outputs: int = 0,
        time: int = 64,
        depth: int = 2,
        drop: float = 0.0,
        causal: bool = True,
    ) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(symbols, width), nn.Parameter(0.02 * torch.randn(time, width))
        make = nn.TransformerEncoderLayer
        layers = [make(width, 2, 4 * width, drop, batch_first=True, norm_first=True) for _ in range(depth)]
        self.layers, self.norm = nn.ModuleList(layers), nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs or symbols)
        self.mask = nn.Transformer.generate_square_subsequent_mask(time) if causal else None

    def forward(self, symbols: Tensor) -> Tensor:
        """``(batch, time)`` to ``(batch, time, outputs)``."""
        time = symbols.shape[1]
        x = self.embed(symbols) + self.places[:time]
        for layer in self.layers:
            x = layer(x, src_mask=None if self.mask is None else self.mask[:time, :time])
        return torch.as_tensor(self.head(self.norm(x)))


class VisionTransformer(nn.Module):
    """Images of 8 x 8 pixels, cut into 16 patches, to ten logits."""

    def __init__(self, width: int, depth: int = 2, drop: float = 0.0) -> None:
        super().__init__()
        self.cut = nn.Conv2d(1, width, 2, stride=2)
        self.places = nn.Parameter(0.02 * torch.randn(16, width))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, drop, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        """``(batch, 1, 8, 8)`` to ``(batch, 10)``."""
        x = self.cut(images).flatten(2).transpose(1, 2) + self.places
        return torch.as_tensor(self.head(self.body(x).mean(1)))


class Experts(nn.Module):
    """A mixture of four perceptrons, each weighed by a gate, on bags of symbols."""

    def __init__(self, symbols: int, width: int, time: int) -> None:
        super().__init__()
        self.embed, self.gate = nn.Embedding(symbols, width // 4), nn.Linear(time * width // 4, 4)
        self.experts = nn.ModuleList(mlp(time * width // 4, width, symbols) for _ in range(4))

    def forward(self, symbols: Tensor) -> Tensor:
        """``(batch, time)`` to the logits of the one symbol that follows."""
        x = self.embed(symbols).flatten(1)
        said = torch.stack([expert(x) for expert in self.experts], 1)
        return torch.as_tensor((said * self.gate(x).softmax(-1)[..., None]).sum(1))


class Reader(nn.Module):
    """A GRU that reads a series and says what its last state means."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.cell, self.head = nn.GRU(inputs, width, batch_first=True), nn.Linear(width, outputs)

    def forward(self, series: Tensor) -> Tensor:
        """``(batch, time, inputs)`` to ``(batch, outputs)``."""
        return torch.as_tensor(self.head(self.cell(series)[0][:, -1]))


class Variational(nn.Module):
    """An encoder to means and log-variances, and a decoder."""

    def __init__(self, pixels: int, width: int, latent: int) -> None:
        super().__init__()
        self.encode, self.decode = mlp(pixels, width, 2 * latent), mlp(latent, width, pixels)

    def forward(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images and standard Gaussian noise to what is decoded, means, and log-variances."""
        mean, log_var = self.encode(images).chunk(2, -1)
        return self.decode(mean + noise * (0.5 * log_var).exp()), mean, log_var


class Factors(nn.Module):
    """A rating is the product of a user's and an item's factors, plus what either always adds."""

    def __init__(self, users: int, items: int, rank: int) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(users, rank + 1), nn.Embedding(items, rank + 1)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, pairs: Tensor) -> Tensor:
        """``(batch, 2)`` to ``(batch,)``."""
        user, item = self.users(pairs[:, 0]), self.items(pairs[:, 1])
        return torch.as_tensor((user[:, 1:] * item[:, 1:]).sum(1) + user[:, 0] + item[:, 0])


class Sines(nn.Module):
    """A perceptron of sines, as images are written into (Sitzmann et al. 2020, arXiv:2006.09661)."""

    def __init__(self, width: int, depth: int = 3) -> None:
        super().__init__()
        first = nn.Linear(2, width)
        nn.init.uniform_(first.weight, -0.5, 0.5)
        self.layers = nn.ModuleList([first, *(nn.Linear(width, width) for _ in range(depth - 1))])
        self.head = nn.Linear(width, 3)

    def forward(self, places: Tensor) -> Tensor:
        """``(batch, 2)`` to colours ``(batch, 3)``."""
        for k, layer in enumerate(self.layers):
            places = torch.sin((20.0 if k == 0 else 2.0) * layer(places))
        return torch.as_tensor(self.head(places))


class Adapted(nn.Module):
    """A linear layer that is held, and a product of two thin matrices that learns (Hu et al. 2021)."""

    def __init__(self, held: nn.Linear, rank: int) -> None:
        super().__init__()
        self.held = held.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, held.in_features) / held.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(held.out_features, rank))

    @property
    def weight(self) -> Tensor:
        """What both come to: PyTorch's encoder layer reads it, too."""
        return self.held.weight + self.up @ self.down

    @property
    def bias(self) -> Tensor:
        return self.held.bias

    def forward(self, x: Tensor) -> Tensor:
        """As the layer that is held."""
        return functional.linear(x, self.weight, self.bias)


def adapted(model: nn.Module, rank: int = 4) -> nn.Module:
    """Nothing learns but adapters beside the transformer's perceptrons."""
    model.requires_grad_(False)
    for layer in model.get_submodule("layers").children():
        for name in ("linear1", "linear2"):
            held = layer.get_submodule(name)
            assert isinstance(held, nn.Linear)
            setattr(layer, name, Adapted(held, rank))
    return model


class Lion(torch.optim.Optimizer):
    """The sign of an interpolated momentum (Chen et al. 2023, arXiv:2302.06675, algorithm 2)."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.99), decay: float = 0.1
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            lr, (fast, slow), decay = group["lr"], group["betas"], group["decay"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                p.mul_(1.0 - lr * decay).sub_(lr * torch.sign(momentum.lerp(p.grad, 1.0 - fast)))
                momentum.lerp_(p.grad, 1.0 - slow)
