"""The process that runs one instance of a model: takes calls from the worker, one at a time, and answers them.

The main thread does everything; while a model runs, what the worker says meanwhile (a cancel) is read only when the model, or
the loop over a stream, asks for it. So an ordinary call costs no change of thread.
"""

from __future__ import annotations

import asyncio
import inspect
import platform
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

from . import _context, _tensors, _values
from ._errors import Canceled, InputError, ModelError, OutputError, OutputTooLarge, describe
from ._frames import CALL, CANCEL, FAILED, LOAD, PART, PROGRESS, READY, REFUSED, RESULT, UNLOAD, Channel, Frame, split
from ._model import Loaded, load

MAX_MESSAGE_CHARS = 2_000
# The worker reads heads of at most 256 KiB; a character has up to four bytes.
MAX_HEAD_CHARS = 60_000
# 20 a second: more than anybody can read.
PROGRESS_S = 0.05

Outcome = tuple[dict[str, Any], Any]


class Options:
    """What the worker says before anything else."""

    def __init__(self, head: dict[str, Any]) -> None:
        self.file: str = head["file"]
        self.entry: str | None = head.get("entry")
        self.form: str = head["form"]
        self.outputs: list[str] = head.get("outputs") or []
        self.max_output_bytes: int = head["maxOutputBytes"]


class RunningCall:
    """The call that runs: what was canceled of it, and where it stands in a stream. `places`: of the model's items in the batch."""

    def __init__(self, channel: Channel, places: list[int]) -> None:
        self._channel = channel
        self._places = places
        self._canceled = set()  # type: set[int]
        self._told: dict[int | None, float] = {}
        # A model may ask from several threads.
        self._lock = threading.Lock()
        #: The item that a stream works on.
        self.current: int | None = None

    def progress(self, item: int | None, fraction: float | None, message: str | None) -> None:
        item = self.current if item is None else item
        now = time.monotonic()
        if now - self._told.get(item, -1.0) < PROGRESS_S:
            return
        self._told[item] = now
        head: dict[str, Any] = {"items": self._places if item is None else [self._places[item]]}
        if fraction is not None:
            head["fraction"] = float(fraction)
        if message is not None:
            head["message"] = str(message)[:200]
        self._channel.send(PROGRESS, head)

    def canceled(self, item: int | None) -> bool:
        item = self.current if item is None else item
        with self._lock:
            while True:
                frame = self._channel.poll()
                if frame is None:
                    break
                if frame.type != CANCEL:
                    raise ConnectionError(f"frame {frame.type} during a call")
                self._canceled.update(frame.head["items"])
        if item is None:
            return self._canceled.issuperset(self._places)
        return self._places[item] in self._canceled


class Runner:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop: asyncio.AbstractEventLoop | None = None

    def serve(self) -> None:
        """Until the worker says so, or is gone."""
        first = self._channel.receive()
        if first is None or first.type != LOAD:
            return
        options = Options(first.head)
        model = self._load(options)
        while True:
            frame = self._channel.receive()
            if frame is None or frame.type == UNLOAD:
                return
            # A cancel that comes after its call has ended is late, not wrong.
            if frame.type == CALL and model is not None:
                self._call(model, options, frame)
            # Lets go of the memory, so that the next call can have it.
            del frame

    def _load(self, options: Options) -> Loaded | None:
        try:
            model = load(options.file, options.entry)
            if options.form == "tensors" and model.predict is None:
                raise ModelError(f"{model.entry}: stream(item) is for models without tensors; expected predict(batch)")
            if model.setup is not None:
                try:
                    self._finish(model.setup())
                except (Exception, SystemExit) as error:
                    traceback.print_exc()
                    raise ModelError(f"setup() raised {describe(error)}") from error
        except ModelError as error:
            self._channel.send(REFUSED, {"message": str(error)[:MAX_MESSAGE_CHARS]})
            return None
        self._channel.send(READY, {"python": platform.python_version(), "device": _device(model)})
        return model

    def _call(self, model: Loaded, options: Options, frame: Frame) -> None:
        try:
            if options.form == "tensors":
                self._run_tensors(model, options, frame)
            else:
                self._run_values(model, options, frame)
        except ConnectionError:
            raise
        except (Exception, SystemExit) as error:
            self._channel.send(FAILED, failure(error))
        finally:
            _context.enter(None)

    def _run_tensors(self, model: Loaded, options: Options, frame: Frame) -> None:
        heads = frame.head["tensors"]
        batch = {
            head["name"]: _tensors.read(head, data)
            for head, data in zip(heads, split(frame.data, [head["bytes"] for head in heads]))
        }
        _context.enter(RunningCall(self._channel, list(range(frame.head["count"]))))
        assert model.predict is not None
        outputs = self._finish(model.predict(batch))
        out_heads, segments = _tensors.write_all(outputs, options.outputs, options.max_output_bytes * frame.head["count"])
        self._channel.send(RESULT, {"tensors": out_heads}, segments)

    def _run_values(self, model: Loaded, options: Options, frame: Frame) -> None:
        heads = frame.head["items"]
        outcomes: list[Outcome | None] = [None] * len(heads)
        items, places = [], []
        for place, (head, data) in enumerate(zip(heads, split(frame.data, [head["bytes"] for head in heads]))):
            try:
                items.append(_values.read(options.form, head, data))
                places.append(place)
            except ValueError as error:
                outcomes[place] = (failure(InputError(f"the input is not valid {options.form}: {error}")), b"")
        call = RunningCall(self._channel, places)
        _context.enter(call)
        if model.stream is not None:
            results = self._stream(model, options, call, items, places)
        elif items:
            results = self._predict(model, options, items)
        else:
            results = []
        for place, outcome in zip(places, results):
            outcomes[place] = outcome
        given = [outcome for outcome in outcomes if outcome is not None]
        self._channel.send(RESULT, {"outcomes": _cut([head for head, _ in given])}, [data for _, data in given])

    def _predict(self, model: Loaded, options: Options, items: list[Any]) -> list[Outcome]:
        assert model.predict is not None
        outputs = _values.check_batch(self._finish(model.predict(items)), len(items))
        return [_outcome(options, output) for output in outputs]

    def _stream(self, model: Loaded, options: Options, call: RunningCall, items: list[Any], places: list[int]) -> list[Outcome]:
        """Every item's generator in turn, one part each, so that they come along together."""
        assert model.stream is not None
        if inspect.isasyncgenfunction(model.stream):
            gathered: list[Outcome] = self._finish(self._stream_async(model, options, call, items, places))
            return gathered
        outcomes: list[Outcome] = [({}, b"")] * len(items)
        active: dict[int, tuple[Iterator[Any], _Parts]] = {
            index: (iter(model.stream(item)), _Parts(self._channel, options, places[index])) for index, item in enumerate(items)
        }
        while active:
            for index, (generator, parts) in list(active.items()):
                call.current = index
                try:
                    if call.canceled(index):
                        generator.close()  # type: ignore[attr-defined]
                        raise Canceled
                    parts.send(next(generator))
                except ConnectionError:
                    raise
                except StopIteration:
                    outcomes[index] = parts.end()
                    del active[index]
                except (Exception, SystemExit) as error:
                    outcomes[index] = (failure(error), b"")
                    del active[index]
        return outcomes

    async def _stream_async(
        self, model: Loaded, options: Options, call: RunningCall, items: list[Any], places: list[int]
    ) -> list[Outcome]:
        """All generators at once. `call.current` cannot say whose turn it is: hooks need the item's number."""

        async def drive(index: int, item: Any) -> Outcome:
            assert model.stream is not None
            parts = _Parts(self._channel, options, places[index])
            generator = model.stream(item)
            try:
                async for part in generator:
                    if call.canceled(index):
                        await generator.aclose()
                        raise Canceled
                    parts.send(part)
            except ConnectionError:
                raise
            except (Exception, SystemExit) as error:
                return failure(error), b""
            return parts.end()

        return list(await asyncio.gather(*(drive(index, item) for index, item in enumerate(items))))

    def _finish(self, result: Any) -> Any:
        """The result, or what its coroutine gives. One event loop lives as long as the process, as engines expect."""
        if not inspect.isawaitable(result):
            return result
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(result)


class _Parts:
    """Sends the parts of one item's output."""

    def __init__(self, channel: Channel, options: Options, place: int) -> None:
        self._channel = channel
        self._options = options
        self._place = place
        self._count = 0

    def send(self, part: Any) -> None:
        content_type, data = _values.write(self._options.form, part, self._options.max_output_bytes)
        head = {"item": self._place, "type": content_type, "bytes": memoryview(data).nbytes}
        self._channel.send(PART, head, [data])
        self._count += 1

    def end(self) -> Outcome:
        """The worker makes the whole of the parts; without any it is an empty list."""
        return _described(_values.JSON_TYPE, b"null" if self._count else b"[]")


def _outcome(options: Options, output: Any) -> Outcome:
    if isinstance(output, BaseException):
        return failure(output), b""
    try:
        return _described(*_values.write(options.form, output, options.max_output_bytes))
    except OutputError as error:
        return failure(error), b""


def _described(content_type: str, data: Any) -> Outcome:
    return {"type": content_type, "bytes": memoryview(data).nbytes}, data


def _cut(heads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages short enough that all of them fit into one head."""
    limit = MAX_HEAD_CHARS // len(heads)
    return [{**head, "message": head["message"][:limit]} if "message" in head else head for head in heads]


def failure(error: BaseException) -> dict[str, Any]:
    """Code and message for the caller; the traceback of what is the model's fault goes to the log."""
    if isinstance(error, InputError):
        code, message = "input_invalid", str(error) or "the model does not take this input"
    elif isinstance(error, Canceled):
        code, message = "canceled", "canceled while it ran"
    elif isinstance(error, OutputTooLarge):
        code, message = "output_too_large", str(error)
    elif isinstance(error, OutputError):
        code, message = "output_invalid", str(error)
    elif isinstance(error, MemoryError):
        code, message = "model_failed", "the model ran out of memory"
    else:
        code, message = "model_failed", f"the model raised {describe(error)}"
        traceback.print_exception(type(error), error, error.__traceback__)
    return {"error": code, "message": message[:MAX_MESSAGE_CHARS]}


def _device(model: Loaded) -> str:
    """For the log: what the model says it runs on, else whether PyTorch is on a GPU."""
    own = getattr(model.instance, "device", None)
    if own is not None:
        return str(own)[:100]
    torch = sys.modules.get("torch")
    try:
        return "cuda" if torch is not None and torch.cuda.is_initialized() else "cpu"
    except Exception:
        return "cpu"
