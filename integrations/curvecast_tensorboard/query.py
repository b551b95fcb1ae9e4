"""A request as a view reads it: named texts, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from curvecast_tensorboard.refusal import Refusal, words

if TYPE_CHECKING:
    from curvecast.fleet import Settings

T = TypeVar("T")
NUMBERS = ("horizon", "num_params", "batch_tokens", "dataset_tokens", "epoch_steps", "batch_samples")
TEXTS = ("schedule", "train_tag", "val_tag")
_LONGEST = 4_096  # characters of one parameter


@dataclass(frozen=True, slots=True)
class Known:
    """The settings of a run as they were asked for; hashable, so that what was made under them is found again.

    Args:
        values: pairs of a setting's name and its text, sorted.
    """

    values: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, name: str) -> str | None:
        return dict(self.values).get(name)

    def over(self, others: Known) -> Known:
        """These, and where one is missing, that of others."""
        return Known(tuple(sorted((dict(others.values) | dict(self.values)).items())))

    def number(self, name: str) -> int | None:
        """A whole number of at least 1.

        Raises:
            Refusal: if it is none.
        """
        from curvecast.options import whole_number

        text = self[name]
        return None if text is None else _checked(name, text, whole_number)

    def settings(self) -> Settings:
        """As ``curvecast analyze`` makes them of its options.

        Raises:
            Refusal: if one cannot be.
        """
        from curvecast.fleet import Settings
        from curvecast.options import schedule_of
        from curvecast.readers import Lengths

        horizon, batch_tokens = self.number("horizon"), self.number("batch_tokens")
        spec = self["schedule"]
        plan = None if spec is None else _checked("schedule", spec, lambda text: schedule_of(text, horizon))
        lengths = Lengths(self.number("epoch_steps"), self.number("batch_samples"), batch_tokens)
        return Settings(
            horizon=horizon,
            schedule=plan,
            num_params=self.number("num_params"),
            batch_tokens=batch_tokens,
            train_tag=self["train_tag"],
            val_tag=self["val_tag"],
            lengths=lengths,
        )


@dataclass(frozen=True)  # no slots: what is common is kept
class Query:
    """The parameters of a request.

    Args:
        texts: every value of a parameter, in order.
        own: settings of single runs.
    """

    texts: Mapping[str, Sequence[str]]
    own: Mapping[str, Known] = field(default_factory=dict)

    @classmethod
    def of(cls, arguments: Mapping[str, Sequence[str]], body: bytes = b"") -> Query:
        """From an address, and the JSON object of a body.

        Raises:
            Refusal: if the body is no such object, or a parameter is too long.
        """
        texts = {name: list(values) for name, values in arguments.items()}
        own: dict[str, Known] = {}
        for name, value in (_parsed(body) if body else {}).items():
            if name == "own":
                own = {run: _known(settings) for run, settings in _object("own", value).items()}
            else:
                values = value if isinstance(value, list) else [value]
                texts[name] = [_text(name, each) for each in values if each is not None]
        for name, values in texts.items():
            longest = max(map(len, values), default=0)
            if longest > _LONGEST:
                what = f"`{name}` must have at most {_LONGEST:,} characters"
                raise Refusal(400, what, f"{longest:,}", "Pass it in a shorter form.")
        return cls(texts, own)

    def get(self, name: str) -> str | None:
        """A parameter's text; ``None`` where it is missing or empty."""
        values = [value for value in self.texts.get(name, ()) if value]
        return values[0] if values else None

    def run(self) -> str:
        """The run that is asked for.

        Raises:
            Refusal: if none is.
        """
        if (name := self.get("run")) is None:
            raise Refusal(400, "`run` must name a run", "none", "Pass one of those that `runs` lists.")
        return name

    def runs(self, most: int) -> list[str]:
        """The runs that are asked for, each once.

        Raises:
            Refusal: if they are too many.
        """
        names = list(dict.fromkeys(value for value in self.texts.get("run", ()) if value))
        if len(names) > most:
            raise Refusal(400, f"`run` may be given {most} times", f"{len(names)}", "Select fewer runs.")
        return names

    def flag(self, name: str) -> bool:
        """Whether a parameter is ``1`` or ``true``."""
        return self.get(name) in ("1", "true", "True")

    def one_of(self, name: str, choices: Sequence[str]) -> str:
        """One of several words; the first where it is missing.

        Raises:
            Refusal: if it is another.
        """
        word = self.get(name) or choices[0]
        if word not in choices:
            raise Refusal(400, f"`{name}` must be one of {', '.join(choices)}", repr(word), f"Pass {choices[0]!r}.")
        return word

    def number(self, name: str, *, least: float = 0.0) -> float | None:
        """A finite number of at least so much; ``None`` where it is missing.

        Raises:
            Refusal: if it is none.
        """
        if (text := self.get(name)) is None:
            return None
        try:
            value = float(text.replace("_", ""))
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise Refusal(400, f"`{name}` must be a number of at least {least:g}", repr(text), "Pass e.g. 20000.")
        return value

    @cached_property
    def common(self) -> Known:
        """The settings for every run."""
        found = {name: value for name in (*NUMBERS, *TEXTS) if (value := self.get(name)) is not None}
        return Known(tuple(sorted(found.items())))

    def known_of(self, run: str) -> Known:
        """The settings for one run."""
        return self.own[run].over(self.common) if run in self.own else self.common


def _known(value: object) -> Known:
    found = {
        name: _text(name, each)
        for name, each in _object("own", value).items()
        if name in (*NUMBERS, *TEXTS) and each not in (None, "")
    }
    return Known(tuple(sorted(found.items())))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        posted = json.loads(body)
    except (ValueError, RecursionError):
        posted = None
    return _object("the body", posted)


def _object(what: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(400, f"{what} must be a JSON object", type(value).__name__, "Pass {} for none.")
    return value


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if not isinstance(value, str | int | float):
        raise Refusal(400, f"`{name}` must be a text or a number", type(value).__name__, "Pass e.g. 20000.")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _checked(name: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except (ValueError, TypeError) as error:
        told = words(error)
        what = told["what"] if told["what"].startswith("`") else f"`{name}` {told['what']}"
        raise Refusal(400, what, told["got"] or repr(text), told["do"] or "See `curvecast analyze --help`.") from error
