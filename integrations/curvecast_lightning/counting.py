"""How large the model is, and how many tokens a batch holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TOKEN_KEYS = ("input_ids", "tokens", "inputs")


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
    of that width are layers of the model, such as the perceptrons of a byte model.

    Args:
        module: any module, a LightningModule too.

    Returns:
        The counts, or None where they cannot be read off: parameters not yet initialised, or flattened into
        shards (FSDP of the first kind).

    Example:
        >>> model = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 8), nn.Linear(8, 100, bias=False))
        >>> count = count_parameters(model)
        >>> count.total, count.embedding, count.head, count.non_embedding
        (1672, 800, 800, 72)
        >>> count.how
        'non-embedding: 72 of 1,672 parameters; left out: embedding 0.weight, head 2.weight'

    Source: Kaplan et al. 2020, arXiv:2001.08361, 2.1: N leaves out vocabulary and position embeddings.
    """
    parameters = dict(module.named_parameters())
    if any(map(_is_hidden, module.modules())) or any(map(_is_hidden, parameters.values())):
        return None
    names = {id(parameter): name for name, parameter in parameters.items()}
    sizes = {name: _numel(parameter) for name, parameter in parameters.items()}
    tables = {names[id(weight)] for weight in _tables(module)}
    tables |= {name for name in parameters if "pos" in name.lower() and "emb" in name.lower()}
    rows = max((parameters[name].shape[0] for name in tables if parameters[name].ndim == 2), default=0)
    heads = {names[id(w)] for w in _heads(module, rows)} - tables
    total = sum(sizes.values())
    embedding = sum(sizes[name] for name in tables)
    head = sum(sizes[name] for name in heads)
    left_out = [f"embedding {name}" for name in sorted(tables)] + [f"head {name}" for name in sorted(heads)]
    return ParameterCount(
        total=total,
        embedding=embedding,
        head=head,
        non_embedding=total - embedding - head,
        trainable=sum(sizes[name] for name, parameter in parameters.items() if parameter.requires_grad),
        how=f"non-embedding: {total - embedding - head:,} of {total:,} parameters; "
        f"left out: {', '.join(left_out) or 'nothing'}",
    )


def batch_tokens(batch: Any) -> int | None:
    """Tokens in one batch of one process.

    Args:
        batch: an integer tensor ``(B, T)``; a mapping with one under 'input_ids', 'tokens' or 'inputs'; or a
            sequence whose first element is one of these.

    Returns:
        ``B * T`` [tokens], or None for any other batch: images and features hold no tokens.

    Example:
        >>> ids = torch.zeros(4, 16, dtype=torch.long)
        >>> batch_tokens({"input_ids": ids}), batch_tokens((ids, ids)), batch_tokens(ids.float())
        (64, 64, None)
    """
    if isinstance(batch, Mapping):
        return next((batch_tokens(batch[key]) for key in TOKEN_KEYS if key in batch), None)
    if isinstance(batch, list | tuple) and batch:
        return batch_tokens(batch[0])
    if isinstance(batch, Tensor) and batch.ndim == 2 and _is_integer(batch.dtype):
        return batch.numel()
    return None


def _is_integer(dtype: torch.dtype) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)


def _is_hidden(part: nn.Module | Tensor) -> bool:
    """Whether the true shape of a parameter, or of those inside a module, cannot be seen from here."""
    return type(part).__name__ in {"FullyShardedDataParallel", "FlatParameter"} or isinstance(
        part, nn.parameter.UninitializedParameter
    )


def _numel(parameter: Tensor) -> int:
    """Elements of the whole parameter; DeepSpeed leaves an empty one, with the size beside it."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _tables(module: nn.Module) -> Iterator[Tensor]:
    return (part.weight for part in module.modules() if isinstance(part, nn.Embedding | nn.EmbeddingBag))


def _heads(module: nn.Module, rows: int) -> list[Tensor]:
    linear = (part for part in module.modules() if isinstance(part, nn.Linear))
    found = [part.weight for part in linear if rows and part.out_features == rows]
    return found if len(found) == 1 else []
