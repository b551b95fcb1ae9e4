"""How large a model of a given configuration is, and what a token costs it; the convention is always named.

The papers differ: Kaplan et al. 2020 count parameters without embeddings and 6 FLOP for each and token, Hoffmann et
al. 2022 count all of them. A live module is counted by ``curvecast_lightning.count_parameters``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Convention = Literal["kaplan", "chinchilla", "kaplan_attention", "palm"]

_NAMES = {
    "layers": ("n_layer", "num_hidden_layers", "n_layers", "num_layers"),
    "width": ("n_embd", "hidden_size", "d_model", "dim"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "context": ("n_positions", "block_size", "max_position_embeddings", "max_seq_len", "n_ctx"),
    "inner": ("n_inner", "intermediate_size", "ffn_dim", "hidden_dim"),
    "heads": ("n_head", "num_attention_heads", "n_heads"),
    "kv_heads": ("num_key_value_heads", "n_kv_heads", "n_query_groups"),
    "head_width": ("head_dim", "head_size"),
}
_GPT2 = {"gpt2", "nanogpt"}
_LLAMA = {"llama", "mistral"}
_EXPERTS = ("num_local_experts", "n_routed_experts", "num_experts")


@dataclass(frozen=True, slots=True)
class Counts:
    """A model's parameters, by what the papers call N.

    Args:
        total: all of them: Chinchilla's N; tied weights count once.
        embedding: token and position tables.
        head: an output projection that is not tied.
        non_embedding: `total` without the two: Kaplan's N, and what ``num_params`` is elsewhere in curvecast.
        layers, attention_width, context: what attention costs depends on; the width is of all heads together.
        how: one line that says what was counted.
    """

    total: int
    embedding: int
    head: int
    non_embedding: int
    layers: int
    attention_width: int
    context: int
    how: str

    def flops_per_token(self, convention: Convention = "kaplan", *, context: int | None = None) -> float:
        """Training compute of a token: forward and backward.

        Args:
            convention: "kaplan": ``6 N`` without embeddings; "chinchilla": ``6 N`` with them; "kaplan_attention":
                Kaplan's and ``6 layers context width`` (eq. 2.2, times three); "palm": ``6 N`` with embeddings and
                ``12 layers context width`` (Chowdhery et al. 2022, arXiv:2204.02311, appendix B).
            context: tokens a window; the configuration's where not given.

        Returns:
            FLOP a token.

        Raises:
            ValueError: if the convention is not known.

        Example:
            >>> gpt2 = count_config({"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12,
            ...                      "vocab_size": 50257, "n_positions": 1024})
            >>> [f"{gpt2.flops_per_token(convention):.3g}" for convention in ("kaplan", "chinchilla", "palm")]
            ['5.1e+08', '7.47e+08', '8.6e+08']
        """
        reach = self.layers * (context or self.context) * self.attention_width
        per_token = {
            "kaplan": 6 * self.non_embedding,
            "chinchilla": 6 * self.total,
            "kaplan_attention": 6 * self.non_embedding + 6 * reach,
            "palm": 6 * self.total + 12 * reach,
        }
        if convention not in per_token:
            raise ValueError(f"`convention` must be one of {', '.join(per_token)}: got {convention!r}.")
        return float(per_token[convention])

    def training_flops(self, tokens: float, convention: Convention = "kaplan", *, context: int | None = None) -> float:
        """Compute of a run: `flops_per_token` times `tokens` [FLOP]."""
        return self.flops_per_token(convention, context=context) * tokens


def count_config(config: Mapping[str, Any] | str | Path) -> Counts:
    """Count the parameters of a GPT-2 or Llama-like model from its configuration.

    Args:
        config: the mapping, or the path of a ``config.json``, with the names of Hugging Face, nanoGPT or Llama. Without
            a ``model_type`` one with ``intermediate_size`` and ``num_hidden_layers`` counts as Llama's, any other as
            GPT-2's.

    Returns:
        The counts.

    Raises:
        ValueError: if a size is missing, the type is not known, or the model has experts.

    Example:
        >>> llama = count_config({"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096,
        ...                       "intermediate_size": 11008, "num_attention_heads": 32, "vocab_size": 32000,
        ...                       "max_position_embeddings": 4096})
        >>> llama.total, llama.non_embedding
        (6738415616, 6476271616)
        >>> llama.how.split("; ")[1]
        'left out: tokens 131,072,000, head 131,072,000'

    Source: Kaplan et al. 2020, arXiv:2001.08361, section 2.1 and Table 1.
    """
    if not isinstance(config, Mapping):
        read = json.loads(Path(config).read_text(encoding="utf-8"))
        if not isinstance(read, dict):
            raise ValueError(
                f"{config} must hold a JSON object: got a {type(read).__name__}. Pass a model's config.json."
            )
        config = read
    if experts := [name for name in _EXPERTS if (config.get(name) or 0) > 1]:
        raise ValueError(
            f"Models with experts are not counted from a configuration: got {experts[0]}={config[experts[0]]}. "
            "Build the module and use curvecast_lightning.count_parameters."
        )
    guess = "llama" if "intermediate_size" in config and "num_hidden_layers" in config else "gpt2"
    kind = str(config.get("model_type") or guess)
    if kind in _GPT2:
        return _gpt2(config, kind)
    if kind in _LLAMA:
        return _llama(config, kind)
    raise ValueError(
        f"`model_type` must be one of {', '.join(sorted(_GPT2 | _LLAMA))}: got {kind!r}. "
        "Build the module and use curvecast_lightning.count_parameters."
    )


def _gpt2(config: Mapping[str, Any], kind: str) -> Counts:
    layers, width, vocabulary, context = (_size(config, key) for key in ("layers", "width", "vocabulary", "context"))
    inner = _optional(config, "inner") or 4 * width
    bias = int(bool(config.get("bias", True)))
    attention = 4 * width * width + bias * 4 * width
    perceptron = 2 * width * inner + bias * (inner + width)
    norms = (1 + bias) * width
    body = layers * (attention + perceptron + 2 * norms) + norms
    tied = bool(config.get("tie_word_embeddings", True))
    return _counts(
        kind, body, vocabulary * width, context * width, 0 if tied else vocabulary * width, layers, width, context
    )


def _llama(config: Mapping[str, Any], kind: str) -> Counts:
    layers, width, vocabulary, context = (_size(config, key) for key in ("layers", "width", "vocabulary", "context"))
    inner, heads = _size(config, "inner"), _size(config, "heads")
    head_width = _optional(config, "head_width") or width // heads
    kv_heads = _optional(config, "kv_heads") or heads
    attention = 2 * width * heads * head_width + 2 * width * kv_heads * head_width
    body = layers * (attention + 3 * width * inner + 2 * width) + width
    head = 0 if config.get("tie_word_embeddings", False) else vocabulary * width
    return _counts(kind, body, vocabulary * width, 0, head, layers, heads * head_width, context)


def _counts(
    kind: str, body: int, tokens: int, places: int, head: int, layers: int, attention_width: int, context: int
) -> Counts:
    total = body + tokens + places + head
    parts = {"tokens": tokens, "positions": places, "head": head}
    left_out = ", ".join(f"{name} {size:,}" for name, size in parts.items() if size)
    how = f"{kind}: {body:,} of {total:,} parameters are no embeddings; left out: {left_out}"
    return Counts(total, tokens + places, head, body, layers, attention_width, context, how)


def _optional(config: Mapping[str, Any], key: str) -> int | None:
    found = next((config[name] for name in _NAMES[key] if config.get(name) is not None), None)
    return None if found is None else int(found)


def _size(config: Mapping[str, Any], key: str) -> int:
    found = _optional(config, key)
    if found is None or found < 1:
        told = ", ".join(config) or "nothing"
        raise ValueError(f"The configuration needs one of {', '.join(_NAMES[key])}: got {told}.")
    return found
