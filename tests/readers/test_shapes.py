"""Lines of one shape are matched once, and as each alone would be."""

from __future__ import annotations

import random
import re

import pytest

from curvecast.readers.dialects import DIALECTS
from curvecast.readers.dialects.base import Dialect
from curvecast.readers.dialects.shapes import Shapes
from tests.readers.printed import BY_EPOCH, IN_EPOCHS, STEPWISE

_TEXTS = [*STEPWISE.values(), *BY_EPOCH.values(), *(printed(1, 100) for printed in IN_EPOCHS.values())]
_KINDS = sorted({re.sub(r"\d+", "7", line) for text in _TEXTS for line in text.splitlines()})


def _lines() -> list[str]:
    """Every kind of line with other numbers, of one digit and of several; of two alone, one often stands twice."""
    rng = random.Random(0)
    drawn = [(["0", "3", "12", "1000"], kind) for kind in 4 * _KINDS] + [(["36", "39"], kind) for kind in 8 * _KINDS]
    lines = [re.sub("7", lambda _: rng.choice(numbers), kind) for numbers, kind in drawn]  # noqa: B023 - used at once
    lines += ["train's l2: 0.4", "train's l7: 0.4", "optim/learning_rate_group0=0.1", "optim/learning_rate_group1=0.1"]
    return lines


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_shape_tells_what_its_pattern_finds_in_each_line(dialect: Dialect) -> None:
    shapes = Shapes(dialect)
    for line in _lines():
        match, shape = dialect.matches(line), shapes.of(line)
        assert (match is None) == (shape is None)
        if match is not None and shape is not None:
            there = shape.values | dict(shape.plans) | ({} if shape.step is None else {"step": shape.step})
            found = {name: value for name, value in match.groupdict().items() if value is not None}
            assert ({name: line[at] for name, at in there.items()}, shape.pattern) == (found, match.re)


def test_a_text_of_ever_new_shapes_is_not_kept() -> None:
    shapes = Shapes(DIALECTS[0])
    for count in range(5000):
        shapes.of("x" * (count % 4000) + "y" * (count // 4000))
    assert len(shapes._known) <= 2048
