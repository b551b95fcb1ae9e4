"""Sardana et al. 2024: the best size where the model will also be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curvecast.laws.chinchilla import Chinchilla

_REACH = 12.0  # the search goes so far in log N to either side of the size that is best to train


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A model that reaches a loss, with what it costs to train and to use.

    Args:
        num_params: N.
        num_tokens: training tokens D.
        training_flops: ``6 N D`` [FLOP].
        inference_flops: ``2 N D_inf`` [FLOP].
    """

    num_params: float
    num_tokens: float
    training_flops: float
    inference_flops: float

    @property
    def flops(self) -> float:
        """Both together [FLOP]."""
        return self.training_flops + self.inference_flops


def tokens_for(law: Chinchilla, N: float, loss: float) -> float:
    """Training tokens after which `N` parameters reach a loss.

    Args:
        law: the family's law.
        N: parameters.
        loss: [nats/token].

    Returns:
        Tokens; inf where the size never gets there.

    Example:
        >>> law = Chinchilla()
        >>> print(f"{tokens_for(law, 1e9, law.loss(1e9, 2e10).item()):.1e}, {tokens_for(law, 1e9, 1.9)}")
        2.0e+10, inf
    """
    left = loss - law.irreducible_loss - law.A_N * N**-law.alpha_N
    return float((law.A_D / left) ** (1 / law.alpha_S)) if left > 0 else float("inf")


def lifetime(law: Chinchilla, N: float, loss: float, inference_tokens: float) -> Lifetime:
    """Cost of reaching a loss with `N` parameters, and of using the model.

    Args:
        law: the family's law.
        N: parameters.
        loss: [nats/token].
        inference_tokens: tokens that will be read and written in the model's life.

    Returns:
        The costs; infinite where the size never reaches the loss.
    """
    D = tokens_for(law, N, loss)
    return Lifetime(N, D, 6 * N * D, 2 * N * inference_tokens)


def best_lifetime(law: Chinchilla, loss: float, inference_tokens: float) -> Lifetime:
    r"""The cheapest model of a loss over training and use: smaller, and trained longer, the more it is used.

    .. math:: \min_{N, D}\; 6 N D + 2 N D_{inf} \quad \text{where} \quad L(N, D) = \ell

    Args:
        law: the family's law.
        loss: the quality wanted [nats/token].
        inference_tokens: tokens of its use.

    Returns:
        Size, tokens and costs.

    Raises:
        ValueError: if the loss is not above the law's irreducible one, or the tokens are negative.

    Example:
        >>> from curvecast.laws.chinchilla import HOFFMANN
        >>> D = HOFFMANN.best_tokens(13e9)
        >>> loss = HOFFMANN.loss(13e9, D).item()
        >>> best = best_lifetime(HOFFMANN, loss, 2e12)
        >>> saved = 1 - best.flops / lifetime(HOFFMANN, 13e9, loss, 2e12).flops
        >>> print(f"{best.num_params:.1e} parameters save {saved:.0%}")
        7.1e+09 parameters save 16%

    Source: Sardana et al. 2024, arXiv:2401.00448, eq. 3. The paper finds the root of the derivative by Newton's method;
    here the cost itself is minimised in log N, where it has one minimum.
    """
    if not loss > law.irreducible_loss:
        raise ValueError(
            f"`loss` must lie above the irreducible loss of the law, {law.irreducible_loss:.4g}: got {loss:.4g}. "
            "No model of the family reaches it."
        )
    if not inference_tokens >= 0:
        raise ValueError(f"`inference_tokens` must not be negative: got {inference_tokens}.")
    from scipy.optimize import minimize_scalar  # its package takes longer to load than numpy

    N_trained = float(law.best(law.compute_for(loss))[0])
    least = (law.A_N / (loss - law.irreducible_loss)) ** (1 / law.alpha_N)  # with data without end

    def cost(log_N: float) -> float:
        return float(np.log(lifetime(law, float(np.exp(log_N)), loss, inference_tokens).flops))

    low, high = np.log(least) + 1e-9, np.log(N_trained) + _REACH
    found = minimize_scalar(
        cost, bounds=(low, min(high, np.log(N_trained) + 1e-6)), method="bounded", options={"xatol": 1e-10}
    )
    return lifetime(law, float(np.exp(found.x)), loss, inference_tokens)
