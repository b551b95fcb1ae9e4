"""What OpenAI's and DeepMind's laws answer to a compute, and why they differ."""

from __future__ import annotations

from dataclasses import dataclass

from curvecast.laws import kaplan
from curvecast.laws.chinchilla import EPOCH
from curvecast.laws.kaplan_frontier import table_6

WHY = (
    "They differ by what they count and how they trained: Kaplan leaves embeddings out of N and C, which matters for "
    "the small models that were fitted (arXiv:2406.12907 traces most of the gap to it), and read losses off runs on "
    "one long schedule, so that short ones never had their decay (Hoffmann et al. 2022, section 2)."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one laboratory's law says to a compute.

    Args:
        who: "OpenAI" or "DeepMind".
        law: which formulas.
        num_params, num_tokens, loss: the optimum.
        batch_tokens: where the law names one.
    """

    who: str
    law: str
    num_params: float
    num_tokens: float
    loss: float
    batch_tokens: float | None = None


def answers(flops: float) -> tuple[Answer, Answer]:
    """OpenAI's and DeepMind's answers to a compute.

    Args:
        flops: training compute [FLOP]; for OpenAI's taken as C_min.

    Returns:
        Kaplan's Table 6, and Chinchilla's law with Epoch's constants.

    Example:
        >>> [f"{answer.who}: {answer.num_params:.1e}" for answer in answers(5.76e23)]
        ['OpenAI: 8.0e+11', 'DeepMind: 7.2e+10']
    """
    old = table_6(flops)
    N, D = EPOCH.best(flops)
    theirs = Answer(
        "OpenAI",
        "Kaplan et al. 2020, Table 6 and eq. 1.3; N without embeddings",
        float(old.N),
        flops / (6 * float(old.N)),
        float(kaplan.loss_of_min_compute(flops)),
        float(old.B_crit),
    )
    newer = Answer(
        "DeepMind",
        "Hoffmann et al. 2022, refitted by Besiroglu et al. 2024; N with embeddings",
        float(N),
        float(D),
        float(EPOCH.loss(N, D)),
    )
    return theirs, newer
