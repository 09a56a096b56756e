"""What a model may raise, and what this package raises about a model."""

from __future__ import annotations


class InputError(Exception):
    """The caller's input is at fault, and the message tells the caller why (HTTP 422, ``input_invalid``).

    Raise it, or return it in the place of one item's output: then that item alone fails. Raised for a batch of several, each
    item is tried again by itself, so that only those at fault fail.
    """


class Canceled(Exception):
    """Nobody wants this output any more. May be raised by a model that saw ``postern.canceled()``."""


class ModelError(Exception):
    """The model's file cannot be used. The message is for its author."""


class OutputError(Exception):
    """What the model returned cannot be an output. The message is for its author and for the caller."""


class OutputTooLarge(OutputError):
    """An output over the worker's limit; it was not sent."""


def describe(error: BaseException) -> str:
    """One line: the exception's name and text."""
    text = str(error).strip().split("\n", 1)[0]
    name = type(error).__name__
    return f"{name}: {text}" if text else name
