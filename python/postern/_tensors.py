"""Tensors as models get and give them: views of the memory that they arrived in, sent from where they lie.

With numpy on the machine they are numpy arrays; without, memoryviews of the right shape. Texts are lists of str (with numpy:
object arrays). bfloat16, which numpy does not have, comes as uint16 with the same bits.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ._errors import OutputError, OutputTooLarge

# Name of the type → format of the struct module, which memoryview.cast takes as well.
FORMATS = {
    "bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float16": "e", "float32": "f", "float64": "d", "bfloat16": "H",
}  # fmt: skip
ITEM_BYTES = {name: struct.calcsize(form) for name, form in FORMATS.items()}
STRING = "string"


def _numpy() -> Any:
    """numpy where it is installed, else None. Imported by the first tensor, not by this package."""
    global _numpy_module
    if _numpy_module is False:
        try:
            import numpy
        except ImportError:
            _numpy_module = None
        else:
            _numpy_module = numpy
    return _numpy_module


_numpy_module: Any = False


def read(head: Mapping[str, Any], data: memoryview) -> Any:
    """One tensor. `head` has its type and dims."""
    kind, dims = head["type"], list(head["dims"])
    if kind == STRING:
        return _read_strings(dims, data)
    numpy = _numpy()
    if numpy is None:
        form: Any = FORMATS[kind]
        if 0 in dims or (form == "e" and sys.version_info < (3, 12)):
            # memoryview has neither empty shapes nor, in older versions, halves.
            return data
        return data.cast(form, dims) if dims else data.cast(form)
    dtype = "uint16" if kind == "bfloat16" else kind
    if 0 in dims:
        return numpy.empty(dims, dtype=dtype)
    return numpy.frombuffer(data, dtype=dtype).reshape(dims)


def _read_strings(dims: list[int], data: memoryview) -> Any:
    """Each as a length (u32, little-endian) and UTF-8; what is no UTF-8 comes as bytes."""
    values: list[Any] = []
    position = 0
    while position < len(data):
        (size,) = struct.unpack_from("<I", data, position)
        raw = bytes(data[position + 4 : position + 4 + size])
        try:
            values.append(raw.decode())
        except UnicodeDecodeError:
            values.append(raw)
        position += 4 + size
    numpy = _numpy()
    if numpy is None:
        return values
    array = numpy.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(dims)


def write_all(outputs: Any, names: Sequence[str], max_bytes: int) -> tuple[list[dict[str, Any]], list[Any]]:
    """Heads and segments of a model's outputs. One that is no dict is named by the manifest's first output."""
    if not isinstance(outputs, Mapping):
        if outputs is None or not names:
            what = type(outputs).__name__
            raise OutputError(f"predict() returned a {what}; expected a dict of arrays by name")
        outputs = {names[0]: outputs}
    heads, segments, total = [], [], 0
    for name, value in outputs.items():
        kind, dims, segment = write(str(name), value)
        size = memoryview(segment).nbytes
        total += size
        heads.append({"name": str(name), "type": kind, "dims": dims, "bytes": size})
        segments.append(segment)
    if total > max_bytes:
        raise OutputTooLarge(f"the outputs have {total:,} bytes, at most {max_bytes:,} are sent")
    return heads, segments


def write(name: str, value: Any) -> tuple[str, list[int], Any]:
    """Type, dims and memory of one output: a numpy array, a PyTorch tensor, anything with a buffer, a list, a number."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _write_torch(torch, name, value)
    numpy = _numpy()
    if numpy is not None:
        try:
            return _write_array(numpy, name, numpy.asarray(value))
        except (ValueError, TypeError) as error:
            raise OutputError(f'output "{name}": a {type(value).__name__} is no array: {error}') from None
    try:
        view = memoryview(value)
    except TypeError:
        message = f'output "{name}": a {type(value).__name__} has no buffer; without numpy return memoryview or array.array'
        raise OutputError(message) from None
    for kind, form in FORMATS.items():
        if view.format == form or (view.format == "l" and kind == "int64") or (view.format == "L" and kind == "uint64"):
            return kind, list(view.shape or [view.nbytes // view.itemsize]), view.cast("B") if view.nbytes else b""
    raise OutputError(f'output "{name}": elements of the format {view.format} cannot be sent')


def _write_torch(torch: Any, name: str, value: Any) -> tuple[str, list[int], Any]:
    tensor = value.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return "bfloat16", list(tensor.shape), memoryview(tensor.view(torch.int16).numpy().reshape(-1)).cast("B")
    return _write_array(_numpy(), name, tensor.numpy())


def _write_array(numpy: Any, name: str, array: Any) -> tuple[str, list[int], Any]:
    kind, dims = array.dtype.name, list(array.shape)
    if array.dtype.kind in "OUS":
        return STRING, dims, _write_strings(name, array)
    if kind not in FORMATS:
        raise OutputError(f'output "{name}": elements of the type {kind} cannot be sent; convert with .astype(...)')
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    flat = numpy.ascontiguousarray(array).reshape(-1)
    return kind, dims, memoryview(flat).cast("B") if flat.nbytes else b""


def _write_strings(name: str, array: Any) -> bytes:
    parts = []
    for value in array.reshape(-1).tolist():
        if isinstance(value, str):
            value = value.encode()
        if not isinstance(value, bytes):
            raise OutputError(f'output "{name}": a {type(value).__name__} among texts')
        parts.append(struct.pack("<I", len(value)) + value)
    return b"".join(parts)
