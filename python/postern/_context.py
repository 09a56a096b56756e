"""The call that runs now, for the hooks that a model may use while it runs.

A process runs one batch at a time, so there is one current call; outside of one (in ``setup``, in a test of the model by
itself) the hooks do nothing.
"""

from __future__ import annotations

from typing import Protocol


class Call(Protocol):
    """What the runner offers to the hooks."""

    def progress(self, item: int | None, fraction: float | None, message: str | None) -> None: ...

    def canceled(self, item: int | None) -> bool: ...


_current: Call | None = None


def enter(call: Call | None) -> None:
    global _current
    _current = call


def progress(fraction: float | None = None, message: str | None = None, *, item: int | None = None) -> None:
    """Tells the callers how far it is: 0 to 1 (None: nobody knows), and a few words.

    ``item`` is the place in the batch; without it: the item that ``stream`` works on, or all of the batch.
    Cheap: more than about 20 a second are dropped.
    """
    if fraction is not None and not 0 <= fraction <= 1:
        raise ValueError(f"progress: expected a fraction from 0 to 1, got {fraction}")
    if _current is not None:
        _current.progress(item, fraction, message)


def canceled(item: int | None = None) -> bool:
    """Does nobody want the output any more?

    ``item`` is the place in the batch; without it: the item that ``stream`` works on, or the whole batch (True only when nobody
    wants any of it). Ask now and then in long loops (it costs some microseconds), and return or raise ``postern.Canceled``.
    """
    return _current is not None and _current.canceled(item)
