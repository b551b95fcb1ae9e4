"""What a decision sees: a run at one moment, what it forecasts, and what can be done now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from curvecast.decisions.base import Finding, Reason, Rest
from curvecast.decisions.choices import Choice, back_to, choices
from curvecast.decisions.details import Details, Once
from curvecast.decisions.foretold import Foretold

_NOTHING = 1e-5  # any two runs differ by more than this share of the loss


@dataclass(frozen=True, eq=False)  # no slots: what is worked out is kept
class View(Foretold):
    """What a decision sees: a run at one moment, and what follows from it.

    It has four floors, each resting on the one before:

    - ``moment``: what the run has shown and was told, and what reads off it;
    - ``turned``: whether validation has turned;
    - ``foretold``: where the loss will be;
    - here: what can be done now, and how a decision says so.

    What is costly is worked out once, when it is first asked for. It is made of what a ``Moment`` is made of.

    Example:
        >>> from curvecast import Watcher
        >>> class Report:  # a decision that only looks
        ...     def decide(self, view):
        ...         self.seen = view.step, view.steps_left, round(view.forecast(view.end).median, 1)
        >>> report = Report()
        >>> watcher = Watcher(horizon=1000, lr_held=True, decisions=[report])
        >>> for step in range(1, 501):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        >>> verdict.step == report.seen[0], report.seen[2]
        (True, 2.1)
    """

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Stop here, cool down from here, go on: what each ends at and takes; empty where no step is left."""
        return self.offered()

    def offered(self, cooldown: int | None = None) -> tuple[Choice, ...]:
        """The choices, with a cooldown over so many steps, or over as many as are worth it."""
        now, end = self.step, self.end
        return choices(self.posterior, self.forecast, now=now, end=end, of=self.of, cost=self.cost, cooldown=cooldown)

    def rest(self, *, back: bool = False) -> Rest:
        """What can be done now, and what stopping saves, as words and as numbers.

        Args:
            back: Whether the best lies behind: then going back to it stands first, and no cooldown is offered.
        """
        best = (back_to(*self.best_val),) if back and self.best_val is not None else ()
        if not self.steps_left:
            return Rest("".join(f" {_sentence(str(choice))}." for choice in best), choices=best)
        words, details = self.savings()
        offered = self.choices
        if back:
            offered = (*best, *(choice for choice in offered if choice.name == "go_on"))
        for choice in offered:
            if choice.name == "cool_down":
                details |= {"cooldown_steps": float(choice.steps), "cooldown_loss": choice.loss}
        what = "; ".join(map(str, offered))
        if self.is_decaying and not back:
            brought = details["rest_of_decay"] = offered[0].loss - offered[-1].loss
            much = f"{brought:.3g}" if brought > _NOTHING * abs(self.level) else "nothing to speak of"
            words = f"the rest of the decay still brings {much}; {words}"
        return Rest(f" {_sentence(what)}; {words}.", details, offered)

    def stop(
        self,
        reason: Reason,
        probability: float,
        says: Callable[[], str],
        *details: Mapping[str, float] | Callable[[], Mapping[str, float]],
        back: bool = False,
    ) -> Finding:
        """A finding that fires: its sentence, then what can be done now; worked out when it is asked for.

        Args:
            reason: What is found.
            probability: Of it.
            says: What gives the sentence.
            *details: Named numbers, or what gives them.
            back: As in ``rest``.
        """
        rest = Once(lambda: self.rest(back=back))
        message = Once(lambda: says() + rest().words)
        numbers, choices = Details(*details, lambda: rest().details), Once(lambda: rest().choices)
        return Finding(reason, probability, True, message, numbers, choices)


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]
