"""How a run is ended: at once or after a cooldown, with checkpoints where they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from curvecast import Reason
from curvecast_lightning.cooldown import Cooldown

NO_COOLDOWN = {Reason.OVERFITTING, Reason.DIVERGED}  # the best lies behind: no learning rate brings it back
log = logging.getLogger("curvecast")


class Ending:
    """Carries out what was decided, alike on every rank.

    Args:
        cools: whether a cooldown comes before the stop.
        saves: whether checkpoints are written: where the cooldown begins, and where the run stops.
    """

    def __init__(self, *, cools: bool, saves: bool) -> None:
        self.cools, self.saves = cools, saves
        self.cooldown: Cooldown | None = None
        self.checkpoints: list[str] = []

    @property
    def is_cooling(self) -> bool:
        """Whether a cooldown has begun."""
        return self.cooldown is not None

    def resume(self, trainer: Any) -> None:
        """Go on with the cooldown of a checkpoint, if it has one; a run that starts anew has none."""
        self.checkpoints = []
        if not trainer.global_step:
            self.cooldown = None
        if self.cooldown is None:
            return
        self.cooldown.hold(trainer)
        self.cooldown.set_rates(trainer)
        if trainer.global_step >= self.cooldown.end:
            trainer.should_stop = True
            log.warning(
                "curvecast: the checkpoint stands at the end of its cooldown, at step %d, so nothing is left to train. "
                "To go on from before it, load the checkpoint that save_on_stop wrote there.",
                self.cooldown.end,
            )

    def cool(self, trainer: Any) -> None:
        """Set the next step's rates while a cooldown is under way, and stop where it ends."""
        if self.cooldown is None:
            return
        if trainer.global_step >= self.cooldown.end:
            self.stop(trainer)
        else:
            self.cooldown.set_rates(trainer)

    def begin(self, trainer: Any, steps: int) -> None:
        """Begin a cooldown over so many steps."""
        self.cooldown = Cooldown.of(trainer, steps)
        self.cooldown.hold(trainer)
        self.cooldown.set_rates(trainer)

    def stop(self, trainer: Any) -> None:
        """Have the Trainer stop."""
        if trainer.should_stop:
            return
        trainer.should_stop = True
        self.save(trainer, "stop")

    def save(self, trainer: Any, name: str) -> None:
        """Write a checkpoint, if that was asked for; all ranks meet here. The run ends as it was told to without it."""
        if not self.saves:
            return
        path = f"{_folder(trainer)}/curvecast-{name}-step={trainer.global_step}.ckpt"
        written = True
        try:
            trainer.save_checkpoint(path)
        except Exception as error:  # a full disk, or something of the user's that cannot be pickled
            written = False
            log.warning("curvecast could not write %s (%s). The run ends as planned, without it.", path, error)
            trainer.strategy.barrier("curvecast")  # the ranks that had nothing to write wait in one by now
        if trainer.strategy.broadcast(written, 0):
            self.checkpoints.append(path)

    def to_dict(self) -> dict[str, Any] | None:
        """Plain types, for a checkpoint."""
        return None if self.cooldown is None else self.cooldown.to_dict()

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Take over what `to_dict` gave."""
        self.cooldown = None if state is None else Cooldown.from_dict(state)


def _folder(trainer: Any) -> str:
    """Where the Trainer's own checkpoints go, else where its logs do."""
    saver = trainer.checkpoint_callback
    return str((saver and saver.dirpath) or trainer.log_dir or trainer.default_root_dir)
