"""Finds the model in its file: a class, an instance, or a plain function."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from types import ModuleType
from typing import Any, Callable

from ._errors import ModelError, describe

DEFAULT_ENTRIES = ("Model", "model", "predict", "stream")


class Model:
    """Base class of models. Deriving from it is not needed; it says what a model may have.

    Have ``predict`` or ``stream``. Both may be ``async``.
    """

    def setup(self) -> None:
        """Runs once, before the first call: load weights here."""

    def predict(self, batch: Any) -> Any:
        """The outputs of a whole batch.

        Kind ``tensors``: a dict of arrays by name, rows along the first dimension, in and out. Every other kind: a list of items in,
        a list with one output for each out, in order; ``InputError(...)`` in the place of an output fails that item alone.
        """
        raise NotImplementedError

    def stream(self, item: Any) -> Any:
        """A generator: yields the parts of one item's output, each sent on at once."""
        raise NotImplementedError


class Loaded:
    """A model as the runner calls it."""

    def __init__(self, model: Any, entry: str) -> None:
        self.instance = model
        self.entry = entry
        self.setup: Callable[[], Any] | None = None
        self.predict: Callable[[Any], Any] | None = None
        self.stream: Callable[[Any], Any] | None = None
        if inspect.isfunction(model) or inspect.isbuiltin(model):
            if _is_generator(model):
                self.stream = model
            else:
                self.predict = model
        else:
            self.setup = _own(model, "setup")
            self.predict = _own(model, "predict")
            self.stream = _own(model, "stream")
            if self.predict is None and self.stream is None and callable(model):
                self.predict = model
        if self.predict is not None and _is_generator(self.predict):
            raise ModelError(f"{entry}: predict() is a generator. A model that streams has stream(item) instead, for one item")
        if self.stream is not None and not _is_generator(self.stream):
            raise ModelError(f"{entry}: stream() is no generator: it must yield the parts of the output")
        if self.predict is None and self.stream is None:
            raise ModelError(f"{entry}: expected a method predict(batch) or stream(item), found neither")


def _own(model: Any, name: str) -> Callable[..., Any] | None:
    """The method, unless it is only what the base class has."""
    method: Any = getattr(model, name, None)
    if not callable(method) or getattr(method, "__func__", None) is getattr(Model, name):
        return None
    found: Callable[..., Any] = method
    return found


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def load(path: str, entry: str | None = None) -> Loaded:
    """Imports the file and finds the entry in it. Raises ModelError with a message for the author."""
    module = _import_file(path)
    label = os.path.basename(path)
    if entry is not None and not hasattr(module, entry):
        raise ModelError(f'{label} has no "{entry}"; it has {_names(module)}')
    name = entry or next((name for name in DEFAULT_ENTRIES if hasattr(module, name)), None)
    if name is None:
        raise ModelError(
            f"{label}: expected a class Model or a function predict(batch); it has {_names(module)}. "
            "Another name is given by python.entry in postern.yaml"
        )
    found = getattr(module, name)
    if inspect.isclass(found):
        try:
            found = found()
        except Exception as error:
            traceback.print_exc()
            raise ModelError(f"{name}() raised {describe(error)}") from error
    return Loaded(found, name)


def _import_file(path: str) -> ModuleType:
    folder, file = os.path.split(os.path.abspath(path))
    if not os.path.isfile(path):
        raise ModelError(f"there is no file {file} in {folder}")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = os.path.splitext(file)[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{file} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    # Known by its name, so that pickle finds the classes in it; unless that would hide another module.
    sys.modules.setdefault(name, module)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        traceback.print_exc()
        raise ModelError(
            f"{file} needs the module {error.name}, which {sys.executable} does not have: "
            f"install it there ({sys.executable} -m pip install ...), or name another interpreter in postern.yaml"
        ) from error
    except SystemExit as error:
        raise ModelError(f"{file} ended the process while it was imported (exit code {error.code})") from error
    except BaseException as error:
        traceback.print_exc()
        raise ModelError(f"importing {file} raised {describe(error)}") from error
    return module


def _names(module: ModuleType) -> str:
    """What the file itself defines, for messages."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return ", ".join(sorted(own)[:20]) or "nothing of its own"
