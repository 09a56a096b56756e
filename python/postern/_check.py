"""`python -m postern check model.py`: runs a model once as the worker would, and says what is wrong where something is."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import re
import sys
import time
import traceback
from typing import Any

from . import _tensors, _values
from ._errors import InputError, ModelError, OutputError, describe
from ._model import Loaded, load
from ._version import VERSION

MAX_SHOWN_CHARS = 400
MAX_OUTPUT_BYTES = 64 * 1024 * 1024
EXAMPLES = """\
examples:
  python -m postern check model.py --input '{"numbers": [1, 2, 3]}'
  python -m postern check model.py --kind text --input 'hello'
  python -m postern check model.py --kind image --input @photo.jpg
  python -m postern check model.py --kind tensors --tensor 'image=float32[1,3,224,224]'

exit codes: 0 it works; 1 the model has a problem; 2 the command was wrong
"""


class Problem(Exception):
    """What to tell the author."""


def check(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m postern",
        description="Tools for the authors of models.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"postern {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    one = commands.add_parser(
        "check", help="run a model once, as the worker would", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    one.add_argument("file", help="the file with the model")
    one.add_argument("--entry", help="class or function in the file (default: Model, else predict)")
    one.add_argument("--kind", choices=["json", "text", "bytes", "image", "tensors"], default="json")
    one.add_argument("--input", help="a JSON value, a text, or @file (by the kind)")
    one.add_argument("--tensor", action="append", default=[], metavar="NAME=TYPE[DIMS]", help="an input of zeros")
    one.add_argument("--rows", type=int, default=1, help="the same input so many times in one batch (not for tensors)")
    arguments = parser.parse_args(argv)
    try:
        batch = _tensors_of(arguments) if arguments.kind == "tensors" else _items_of(arguments)
    except (ValueError, OSError) as error:
        print(f"postern check: {error}", file=sys.stderr)
        return 2
    try:
        _run(arguments, batch)
    except Problem as problem:
        print(f"\npostern check: {problem}", file=sys.stderr)
        return 1
    return 0


def _items_of(arguments: argparse.Namespace) -> list[Any]:
    if arguments.input is None:
        raise ValueError("give the model an input: --input, see --help")
    if arguments.rows < 1:
        raise ValueError("--rows: expected at least 1")
    if arguments.input.startswith("@"):
        with open(arguments.input[1:], "rb") as file:
            data = file.read()
    else:
        data = arguments.input.encode()
    types = {"json": _values.JSON_TYPE, "text": _values.TEXT_TYPE}
    head = {"type": types.get(arguments.kind, _values.BYTES_TYPE)}
    form = "bytes" if arguments.kind == "image" else arguments.kind
    try:
        return [_values.read(form, head, memoryview(data)) for _ in range(arguments.rows)]
    except ValueError as error:
        raise ValueError(f"--input is not valid {arguments.kind}: {error}") from None


def _tensors_of(arguments: argparse.Namespace) -> dict[str, Any]:
    if not arguments.tensor:
        raise ValueError("give the model an input: --tensor 'name=float32[1,3]', see --help")
    tensors = {}
    for text in arguments.tensor:
        match = re.fullmatch(r"([^=]+)=(\w+)\[([\d,\s]*)\]", text)
        if match is None or match[2] not in _tensors.ITEM_BYTES:
            known = ", ".join(_tensors.ITEM_BYTES)
            raise ValueError(f"--tensor {text}: expected name=type[dims], the type one of {known}")
        dims = [int(dim) for dim in match[3].split(",") if dim.strip()]
        size = _tensors.ITEM_BYTES[match[2]]
        for dim in dims:
            size *= dim
        if size > MAX_OUTPUT_BYTES:
            raise ValueError(f"--tensor {text}: {size:,} bytes, at most {MAX_OUTPUT_BYTES:,} are sent")
        tensors[match[1]] = _tensors.read({"type": match[2], "dims": dims}, memoryview(bytearray(size)))
    return tensors


def _run(arguments: argparse.Namespace, batch: Any) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def finish(result: Any) -> Any:
        return loop.run_until_complete(result) if inspect.isawaitable(result) else result

    model = _load(arguments)
    _say("python", f"{sys.version.split()[0]} ({sys.executable})")
    setup = model.setup
    if setup is not None:
        took, _ = _timed("setup", lambda: finish(setup()))
        _say("setup", f"passed in {took:.0f} ms")
    if arguments.kind != "tensors" and model.stream is not None:
        _check_stream(arguments, model, batch, finish)
        return
    if model.predict is None:
        raise Problem(f"{model.entry} has stream(item), which is for models without tensors; it needs predict(batch)")
    predict = model.predict
    first, _ = _timed("predict", lambda: finish(predict(batch)))
    took, outputs = _timed("predict", lambda: finish(predict(batch)))
    _say("predict", f"answered in {first:.1f} ms, the second time in {took:.1f} ms")
    _show(arguments, outputs, len(batch))


def _load(arguments: argparse.Namespace) -> Loaded:
    try:
        took, found = _timed("import", lambda: load(arguments.file, arguments.entry))
    except ModelError as error:
        raise Problem(str(error)) from None
    model: Loaded = found
    _say("import", f"{model.entry} found in {took:.0f} ms")
    return model


def _check_stream(arguments: argparse.Namespace, model: Loaded, batch: list[Any], finish: Any) -> None:
    assert model.stream is not None
    generator = model.stream(batch[0])
    parts: list[Any] = []

    async def collect() -> None:
        async for part in generator:
            parts.append(part)

    took, _ = _timed("stream", lambda: finish(collect()) if hasattr(generator, "__anext__") else parts.extend(generator))
    _say("stream", f"{len(parts)} parts in {took:.1f} ms")
    for part in parts[:5]:
        _say("  part", _value_text(arguments.kind, part))


def _show(arguments: argparse.Namespace, outputs: Any, rows: int) -> None:
    try:
        if arguments.kind == "tensors":
            heads, _ = _tensors.write_all(outputs, ["output"], MAX_OUTPUT_BYTES)
            for head in heads:
                _say("output", f"{head['name']}: {head['type']}{head['dims']}")
            return
        for output in _values.check_batch(outputs, rows)[:5]:
            _say("output", _value_text(arguments.kind, output))
    except OutputError as error:
        raise Problem(str(error)) from None


def _value_text(kind: str, value: Any) -> str:
    if isinstance(value, BaseException):
        return f"this item failed: {describe(value)}"
    try:
        content_type, data = _values.write("bytes" if kind == "image" else kind, value, MAX_OUTPUT_BYTES)
    except OutputError as error:
        raise Problem(str(error)) from None
    size = memoryview(data).nbytes
    if content_type == _values.JSON_TYPE:
        text = bytes(data).decode()
    elif content_type.startswith("text/"):
        text = json.dumps(bytes(data).decode(), ensure_ascii=False)
    else:
        return f"{content_type}, {size} bytes"
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}… ({size} bytes)"


def _timed(step: str, action: Any) -> tuple[float, Any]:
    """Milliseconds and the result."""
    begun = time.perf_counter()
    try:
        result = action()
    except (ModelError, Problem):
        raise
    except InputError as error:
        raise Problem(f"{step}: the model refuses the input: {error}") from None
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        raise Problem(f"{step} raised {describe(error)}") from None
    return (time.perf_counter() - begun) * 1_000, result


def _say(step: str, text: str) -> None:
    print(f"{step + ':':<9} {text}")
