"""How large the model is, and how many tokens a batch holds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_WRAPPERS = {"_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod"}  # FSDP, checkpointing, torch.compile
TOKEN_KEYS = ("input_ids", "tokens", "inputs")
_OF_PAIRS = re.compile(r"mask|bias", re.IGNORECASE)
_OF_TEXT = re.compile(
    r"mask|bias|emb|logit|label|prob|teacher|one_?hot", re.IGNORECASE
)  # numbers for each token, or each pair
_AVERAGING = re.compile(r"Ema(?![a-z])|EMA")  # in a class's name: timm's ModelEmaV2 leaves its copy unfrozen
_EDGES = ("edge_index", "edge_index_dict", "ndata")  # PyTorch Geometric's graphs, and DGL's


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Every count of a model's parameters; a tied weight is counted once.

    Args:
        total: all parameters.
        embedding: those of lookup tables: token and position embeddings.
        head: those of an output projection onto the vocabulary that is not tied to an embedding.
        non_embedding: `total` without the two: Kaplan's N, which `curvecast.Watcher` takes as ``num_params``.
            (Chinchilla's N is `total`; most of the gap between the two papers comes from this choice.)
        trainable: those that ask for a gradient.
        how: one line that says what was left out of `non_embedding`.
    """

    total: int
    embedding: int
    head: int
    non_embedding: int
    trainable: int
    how: str


def count_parameters(module: nn.Module) -> ParameterCount | None:
    """Count a model's parameters, with and without its embeddings.

    An embedding is the weight of an ``nn.Embedding`` or ``nn.EmbeddingBag``, or a parameter with 'pos' and
    'emb' in its name. A head is the weight of the one linear layer as wide as the largest embedding is long; several
    of that width are layers of the model, such as the perceptrons of a byte model. A moving average of the weights
    that the model keeps beside them (an ``AveragedModel``, a frozen 'ema', or another 'ema' that is a copy) is not
    counted.

    Args:
        module: any module, a LightningModule too.

    Returns:
        The counts of the whole model, however its parameters are sharded (DDP, FSDP of both kinds, DeepSpeed's
        ZeRO); None where parameters are not yet initialised.

    Example:
        >>> model = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 8), nn.Linear(8, 100, bias=False))
        >>> count = count_parameters(model)
        >>> count.total, count.embedding, count.head, count.non_embedding
        (1672, 800, 800, 72)
        >>> count.how
        'non-embedding: 72 of 1,672 parameters; left out: embedding 0.weight, head 2.weight'

    Source: Kaplan et al. 2020, arXiv:2001.08361, 2.1: N leaves out vocabulary and position embeddings.
    """
    weights = list(_weights(module))
    if any(weight.shape is None for weight in weights):
        return None
    tables = [weight for weight in weights if weight.is_table]
    rows = max((weight.shape[0] for weight in tables if weight.shape and len(weight.shape) == 2), default=0)
    heads = [weight for weight in weights if not weight.is_table and weight.projects_onto(rows)]
    if sum(isinstance(part, nn.Linear) and part.out_features == rows for part in module.modules()) != 1:
        heads = []
    total = sum(weight.size for weight in weights)
    embedding = sum(weight.size for weight in tables)
    head = sum(weight.size for weight in heads)
    left_out = [f"{kind} {name}" for kind, part in (("embedding", tables), ("head", heads)) for name in _names(part)]
    return ParameterCount(
        total=total,
        embedding=embedding,
        head=head,
        non_embedding=total - embedding - head,
        trainable=sum(weight.size for weight in weights if weight.trainable),
        how=f"non-embedding: {total - embedding - head:,} of {total:,} parameters; "
        f"left out: {', '.join(left_out) or 'nothing'}",
    )


def batch_tokens(batch: Any) -> int | None:
    """Tokens in one batch of one process.

    Args:
        batch: an integer tensor ``(B, T)``; a mapping or dataclass with one under 'input_ids', 'tokens' or 'inputs'; or
            a sequence whose first element is one of these.

    Returns:
        ``B * T`` [tokens], or None for any other batch: images, sounds and features hold no tokens, and what is written
        of them is not what a step is measured by.

    Example:
        >>> ids = torch.zeros(4, 16, dtype=torch.long)
        >>> batch_tokens({"input_ids": ids}), batch_tokens((ids, ids)), batch_tokens(ids.float())
        (64, 64, None)
        >>> batch_tokens({"pixel_values": torch.zeros(4, 3, 8, 8), "input_ids": ids}) is None
        True
        >>> batch_tokens({"input_ids": ids, "attention_mask": torch.ones(4, 1, 16, 16)})  # of each pair of tokens
        64
    """
    if _shows_pictures(batch) or _shows_features(batch):
        return None
    batch = _by_name(batch)
    if isinstance(batch, Mapping):
        return next((batch_tokens(batch[key]) for key in TOKEN_KEYS if key in batch), None)
    if isinstance(batch, list | tuple) and batch:
        return batch_tokens(batch[0])
    if isinstance(batch, Tensor) and batch.ndim == 2 and _is_integer(batch.dtype):
        return batch.numel()
    return None


def has_no_tokens(batch: Any) -> bool:
    """Whether a module is fed numbers, pictures or graphs instead of text: then there are no tokens to be counted.

    Args:
        batch: a tensor, a graph, a mapping or dataclass, or a sequence that begins with the inputs; of a mapping,
            labels (one for each sample) do not count.

    Example:
        >>> images, labels = torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long)
        >>> has_no_tokens((images, labels)), has_no_tokens({"x": images, "y": labels}), has_no_tokens(labels)
        (True, True, False)
        >>> has_no_tokens({"category": torch.zeros(2, 9, dtype=torch.long), "series": torch.zeros(2, 9, 4)})
        True
        >>> tokens = torch.zeros(2, 9, dtype=torch.long)
        >>> has_no_tokens({"tokens": tokens, "mel": torch.zeros(2, 9, 80)})  # speech
        True
        >>> has_no_tokens({"tokens": tokens, "teacher_probs": torch.zeros(2, 9, 80)})  # distilled
        False
        >>> users, items, ratings = labels, labels, torch.zeros(2)
        >>> has_no_tokens((users, items, ratings))
        True
    """
    if _shows_pictures(batch) or _shows_features(batch):
        return True
    batch = _by_name(batch)
    if isinstance(batch, Mapping):
        inputs = [part for part in batch.values() if _is_input(part)]
        return bool(inputs) and all(map(has_no_tokens, inputs))
    if isinstance(batch, list | tuple) and batch:
        return _is_rated(batch) or has_no_tokens(batch[0])
    return isinstance(batch, Tensor) and (batch.ndim > 2 or not _is_integer(batch.dtype))


def _by_name(batch: Any) -> Any:
    """What a dataclass holds by its names; anything else as it is."""
    if is_dataclass(batch) and not isinstance(batch, type):
        return {each.name: getattr(batch, each.name) for each in fields(batch)}
    return batch


def _is_input(part: Any) -> bool:
    """Whether a part of a mapping may be what a module is fed, other than labels, lengths and names."""
    if isinstance(part, Mapping):
        return any(map(_is_input, part.values()))
    if isinstance(part, list | tuple):
        return bool(part) and _is_input(part[0])
    return isinstance(part, Tensor) and part.ndim > 1


def _is_rated(batch: Sequence[Any]) -> bool:
    """Whether each sample is a few numbers, one of them no integer: a user, an item, a rating."""
    flat = all(isinstance(part, Tensor) and part.ndim == 1 for part in batch)
    return flat and any(part.dtype.is_floating_point for part in batch)


def _shows_features(batch: Any) -> bool:
    """Whether a batch is a graph, or names vectors over time that are not a text's: of a sound, of measurements."""
    batch = _by_name(batch)
    if not isinstance(batch, Mapping):
        return not isinstance(batch, Tensor) and any(hasattr(batch, name) for name in _EDGES)
    named = ((str(key), part) for key, part in batch.items())
    floats = [name for name, part in named if isinstance(part, Tensor) and part.ndim == 3 and part.is_floating_point()]
    return any(name in batch for name in _EDGES) or (
        "input_ids" not in batch and any(not _OF_TEXT.search(name) for name in floats)
    )


def _shows_pictures(batch: Any) -> bool:
    """Whether a batch holds images, or videos, whatever lies beside them: tensors of four dimensions and more.

    So have what tells of pairs of tokens, an attention's mask or bias.
    """
    batch = _by_name(batch)
    if isinstance(batch, Mapping):
        return any(_shows_pictures(part) for key, part in batch.items() if not _OF_PAIRS.search(str(key)))
    if isinstance(batch, list | tuple):
        return any(map(_shows_pictures, batch))
    return isinstance(batch, Tensor) and batch.ndim > 3 and batch.dtype != torch.bool


def told_of_batch(batch: Any) -> str:
    """Why its tokens are not known, of a batch that may hold some.

    Example:
        >>> ids = torch.zeros(4, 16, dtype=torch.long)
        >>> print(told_of_batch({"src": ids, "tgt": ids}))
        the first batch, a dict of 'src' and 'tgt', has no integer tensor (batch, length) called 'input_ids', 'tokens' \
or 'inputs'
        >>> print(told_of_batch([ids[0], ids[0]]))
        the first batch, a list, does not begin with an integer tensor (batch, length)
    """
    kind, named = type(batch).__name__, _by_name(batch)
    if not isinstance(named, Mapping):
        begins = "begin with" if isinstance(batch, list | tuple) else "show"
        return f"the first batch, a {kind}, does not {begins} an integer tensor (batch, length)"
    names = " and ".join(repr(str(name)) for name in list(named)[:4]) + " ..." * (len(named) > 4)
    wanted = f"{', '.join(map(repr, TOKEN_KEYS[:-1]))} or {TOKEN_KEYS[-1]!r}"
    return f"the first batch, a {kind} of {names}, has no integer tensor (batch, length) called {wanted}"


def _is_integer(dtype: torch.dtype) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)


@dataclass(frozen=True, slots=True)
class _Weight:
    """One parameter, whole, however many processes hold a part of it.

    Args:
        name: its first name in the module.
        shape: None where it is not known yet.
        trainable: whether it asks for a gradient.
        owners: the modules that hold it, with the attribute's name; a tied weight has several.
    """

    name: str
    shape: tuple[int, ...] | None
    trainable: bool
    owners: tuple[tuple[nn.Module, str], ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape or ())

    @property
    def is_table(self) -> bool:
        low = self.name.lower()
        looked_up = any(
            isinstance(part, nn.Embedding | nn.EmbeddingBag) for part, key in self.owners if key == "weight"
        )
        return looked_up or ("pos" in low and "emb" in low)

    def projects_onto(self, rows: int) -> bool:
        linear = (part for part, key in self.owners if isinstance(part, nn.Linear) and key == "weight")
        return rows > 0 and any(part.out_features == rows for part in linear)


def _names(weights: Iterable[_Weight]) -> list[str]:
    return sorted(weight.name for weight in weights)


def _weights(module: nn.Module) -> Iterator[_Weight]:
    """Every parameter once: those that are parameters still, and those that FSDP has flattened."""
    flattened = list(_flattened(module))
    taken = {(id(part), key) for weight in flattened for part, key in weight.owners}
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    found: dict[int, tuple[str, Tensor]] = {}
    averages = tuple(path for path, part in module.named_modules() if _is_average(path, part, module))
    for path, part in module.named_modules():
        if path in averages or path.startswith(tuple(f"{average}." for average in averages)):
            continue
        for key, parameter in part._parameters.items():
            if parameter is None or (id(part), key) in taken or getattr(parameter, "_is_flat_param", False):
                continue
            found.setdefault(id(parameter), (f"{_plain(path)}.{key}".lstrip("."), parameter))
            owners.setdefault(id(parameter), []).append((part, key))
    for each, (name, parameter) in found.items():
        yield _Weight(name, _shape(parameter), parameter.requires_grad, tuple(owners[each]))
    yield from flattened


def _is_average(path: str, part: nn.Module, model: nn.Module) -> bool:
    """Whether a part of a model is a moving average of its weights: a copy, neither trained nor trained before."""
    if not path or not _averages(path, part):
        return False
    frozen = not any(p.requires_grad for p in part.parameters())
    return isinstance(part, AveragedModel) or (frozen and _is_named_average(path)) or _is_copy(path, part, model)


def _averages(path: str, part: nn.Module) -> bool:
    """Whether a part's name or class says so; layers that are averages of what they are fed have such names, too."""
    by_class = isinstance(part, AveragedModel) or _AVERAGING.search(type(part).__name__) is not None
    return by_class or _is_named_average(path)


def _is_named_average(path: str) -> bool:
    return "ema" in path.rpartition(".")[2].lower().split("_")


def _is_copy(path: str, part: nn.Module, model: nn.Module) -> bool:
    """Whether a part has parameters of the names and shapes that one outside it has, or the model without it."""
    inside = f"{path}."
    copies = [_shapes(part), *(_shapes(child) for child in part.children())]
    own = next((shapes for shapes in reversed(copies) if len(shapes) == len(copies[0])), ())
    for at, other in model.named_modules():
        prefix = f"{at}." if at else ""
        if prefix.startswith(inside) or _averages(at, other):
            continue
        hidden = inside.removeprefix(prefix) if inside.startswith(prefix) else None
        if _shapes(other, hidden) in (copies[0], own):
            return bool(own)
    return False


def _shapes(part: nn.Module, hidden: str | None = None) -> frozenset[tuple[str, tuple[int, ...] | None]]:
    """Names and shapes of a part's parameters, but for what begins with `hidden`."""
    named = part.named_parameters(remove_duplicate=False)
    return frozenset((name, _shape(p)) for name, p in named if hidden is None or not name.startswith(hidden))


def _flattened(module: nn.Module) -> Iterator[_Weight]:
    """What FSDP of the first kind keeps as slices of one long vector, with the shapes it remembers."""
    paths = {id(part): _plain(path) for path, part in module.named_modules()}
    for unit in module.modules():
        handle = getattr(unit, "_handle", None) if type(unit).__name__ == "FullyShardedDataParallel" else None
        if handle is None:  # no FSDP, or a unit whose parameters all belong to units inside it
            continue
        flat = handle.flat_param
        tied: dict[tuple[int, str], list[tuple[nn.Module, str]]] = {}
        for other in flat._shared_param_infos:
            tied.setdefault((id(other.prim_module), other.prim_param_name), []).append((other.module, other.param_name))
        for info, shape in zip(flat._param_infos, flat._shapes, strict=True):
            owner = info.module, info.param_name
            name = f"{paths.get(id(info.module), info.module_name)}.{info.param_name}".lstrip(".")
            owners = (owner, *tied.get((id(info.module), info.param_name), ()))
            yield _Weight(name, tuple(shape), flat.requires_grad, owners)


def _plain(path: str) -> str:
    """A module's path without the wrappers that were put around modules on the way."""
    return ".".join(name for name in path.split(".") if name not in _WRAPPERS)


def _shape(parameter: Tensor) -> tuple[int, ...] | None:
    """The whole parameter's; DeepSpeed leaves an empty one, with the shape beside it."""
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        return None
    return tuple(getattr(parameter, "ds_shape", parameter.shape))
