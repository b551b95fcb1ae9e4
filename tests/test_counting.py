from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from curvecast.counting import count_config

GPT2 = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}
LLAMA = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 11008,
    "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096,
}  # fmt: skip
MISTRAL = LLAMA | {"model_type": "mistral", "intermediate_size": 14336, "num_key_value_heads": 8}
LLAMA_3 = LLAMA | {"intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256}


@pytest.mark.parametrize(
    ("config", "total"),
    [(GPT2, 124_439_808), (LLAMA, 6_738_415_616), (MISTRAL, 7_241_732_096), (LLAMA_3, 8_030_261_248)],
    ids=["GPT-2", "Llama 2 7B", "Mistral 7B", "Llama 3 8B"],
)
def test_published_models_have_their_published_counts(config: dict[str, Any], total: int) -> None:
    assert count_config(config).total == total


def test_the_modules_are_reached_by_their_name() -> None:
    import curvecast

    assert curvecast.counting.count_config is count_config
    assert curvecast.capability.pass_at_k(2, 1, 1) == pytest.approx(0.5)


def test_the_parts_add_up_and_tied_weights_count_once(tmp_path: Path) -> None:
    counts = count_config(GPT2)
    assert counts.embedding == 50257 * 768 + 1024 * 768
    assert counts.head == 0
    assert counts.non_embedding + counts.embedding == counts.total
    # Kaplan's 12 layers width^2, but for biases and norms
    assert counts.non_embedding == pytest.approx(12 * 12 * 768**2, rel=2e-3)
    (tmp_path / "config.json").write_text(json.dumps(GPT2 | {"tie_word_embeddings": False}))
    assert count_config(tmp_path / "config.json").head == 50257 * 768


def test_conventions_differ_and_attention_grows_with_the_window() -> None:
    counts = count_config(LLAMA)
    assert counts.flops_per_token("kaplan") == 6 * counts.non_embedding
    assert counts.flops_per_token("chinchilla") == 6 * counts.total
    assert counts.flops_per_token("palm") - counts.flops_per_token("chinchilla") == 12 * 32 * 4096 * 4096
    assert counts.flops_per_token("kaplan_attention", context=1) == 6 * counts.non_embedding + 6 * 32 * 4096
    assert counts.training_flops(2e12, "chinchilla") == 12e12 * counts.total
    with pytest.raises(ValueError, match="`convention` must be one of kaplan"):
        counts.flops_per_token("mine")  # type: ignore[arg-type]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="counting a module needs torch")
def test_a_module_of_this_configuration_counts_the_same() -> None:
    from torch import nn

    from curvecast_lightning.counting import count_parameters

    width, layers, vocabulary, context = 32, 2, 100, 16
    block = nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True)
    model = nn.ModuleDict(
        {
            "tokens": nn.Embedding(vocabulary, width),
            "positions": nn.Embedding(context, width),
            "blocks": nn.TransformerEncoder(block, layers, nn.LayerNorm(width), enable_nested_tensor=False),
        }
    )
    config = {"n_layer": layers, "n_embd": width, "n_head": 4, "vocab_size": vocabulary, "block_size": context}
    live, told = count_parameters(model), count_config(config)
    assert live is not None
    assert (live.total, live.non_embedding) == (told.total, told.non_embedding)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_layer": 2}, "needs one of n_embd, hidden_size"),
        (LLAMA | {"model_type": "mamba"}, "`model_type` must be one of gpt2, llama"),
        (LLAMA | {"num_local_experts": 8}, "experts are not counted"),
    ],
)
def test_what_cannot_be_counted_is_told(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_config(config)
