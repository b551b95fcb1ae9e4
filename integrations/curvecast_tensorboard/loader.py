"""What TensorBoard imports when it starts: next to nothing, and nothing that can take it down."""

from __future__ import annotations

import logging

from tensorboard.plugins import base_plugin

log = logging.getLogger("tensorboard")


class CurvecastLoader(base_plugin.TBLoader):  # type: ignore[misc]  # TensorBoard has no types
    """Makes the plugin; where that fails TensorBoard goes on without it, and says why."""

    def load(self, context: base_plugin.TBContext) -> base_plugin.TBPlugin | None:
        """The plugin, or ``None`` where it cannot be had."""
        try:
            from curvecast_tensorboard.plugin import CurvecastPlugin

            return CurvecastPlugin(context)
        except Exception as error:
            log.warning("curvecast's tab is left out: %r. Run `pip install --upgrade 'curvecast[tensorboard]'`.", error)
            return None
