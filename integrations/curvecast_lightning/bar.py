"""Words of ours among the metrics of the Trainer's progress bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Text = Callable[[], str | None]


class _WithTexts:
    """A bar's ``get_metrics`` with texts added; several callbacks share it, and leave in any order."""

    def __init__(self, inner: Callable[..., dict[str, Any]]) -> None:
        self.inner = inner
        self.texts: dict[str, Text] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        items = dict(self.inner(*args, **kwargs))
        for name, text in self.texts.items():
            words = text()
            if words:
                items[name] = words
        return items


def attach(bar: Any, name: str, text: Text) -> None:
    """Let a progress bar show a text.

    Args:
        bar: a Lightning ProgressBar, or None.
        name: what the text is called there.
        text: called whenever the bar asks for its metrics; None shows nothing.
    """
    if bar is None:
        return
    wrapper = bar.get_metrics
    if not isinstance(wrapper, _WithTexts):
        wrapper = _WithTexts(wrapper)
        bar.get_metrics = wrapper
    wrapper.texts[name] = text


def detach(bar: Any, name: str) -> None:
    """Take the text back; the bar is as it was once the last text is gone."""
    wrapper = getattr(bar, "get_metrics", None)
    if not isinstance(wrapper, _WithTexts):
        return
    wrapper.texts.pop(name, None)
    if not wrapper.texts:
        del bar.get_metrics
        if bar.get_metrics != wrapper.inner:  # somebody else had replaced it on this very bar
            bar.get_metrics = wrapper.inner
