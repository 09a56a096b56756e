"""What goes into and comes out of models of the kinds `json`, `text`, `bytes` and `image`: no tensors, one value an item."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any, Union

from ._errors import InputError, OutputError, OutputTooLarge

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
BYTES_TYPE = "application/octet-stream"

_MEDIA_TYPE = re.compile(r"[\w.+-]{1,63}/[\w.+-]{1,63}(; ?[\w-]{1,20}=[\w.-]{1,40}){0,2}")

Buffer = Union[bytes, bytearray, memoryview]


class Blob:
    """Bytes with a media type: a file that a caller sent, or that a model gives back.

    ``data`` of an input is a view of the memory that it arrived in; copy it (``bytes(blob.data)``) to keep it longer than the call.
    """

    __slots__ = ("content_type", "data", "parameters")

    def __init__(self, data: Buffer, content_type: str = BYTES_TYPE, parameters: Mapping[str, Any] | None = None) -> None:
        self.data = memoryview(data).cast("B")
        self.content_type = content_type
        #: What the caller sent beside the file.
        self.parameters: dict[str, Any] = dict(parameters or {})

    def __bytes__(self) -> bytes:
        return self.data.tobytes()

    def __len__(self) -> int:
        return self.data.nbytes

    def __repr__(self) -> str:
        return f"Blob({self.data.nbytes} bytes, {self.content_type!r})"

    def image(self, mode: str = "RGB") -> Any:
        """The photo as a PIL image, turned as its EXIF orientation says. Needs the package pillow."""
        from PIL import Image, ImageOps, UnidentifiedImageError

        try:
            picture = Image.open(io.BytesIO(self.data))
            return ImageOps.exif_transpose(picture).convert(mode)
        except UnidentifiedImageError:
            raise InputError("the input is not an image that can be decoded") from None
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"the image cannot be decoded: {error}") from None

    def array(self, mode: str = "RGB") -> Any:
        """The photo as a numpy array of uint8: (height, width, channels). Needs the packages pillow and numpy."""
        import numpy

        return numpy.asarray(self.image(mode))


class Text(str):
    """A text that a caller sent; ``parameters`` is what came beside it."""

    parameters: dict[str, Any]

    def __new__(cls, value: str, parameters: Mapping[str, Any] | None = None) -> Text:
        text = super().__new__(cls, value)
        text.parameters = dict(parameters or {})
        return text


def read(form: str, head: Mapping[str, Any], data: memoryview) -> Any:
    """One item as the model gets it. `head` has `type` and, when the caller sent some, `parameters`."""
    parameters = head.get("parameters") or {}
    if form == "json":
        if head["type"] == JSON_TYPE:
            return json.loads(data.tobytes())
        # A file with parameters beside it, named as the API shows it.
        name = "image" if head["type"].startswith("image/") else "file"
        return {**parameters, name: Blob(data, head["type"])}
    if form == "text":
        return Text(str(data, "utf-8"), parameters)
    return Blob(data, head["type"], parameters)


def write(form: str, value: Any, max_bytes: int) -> tuple[str, Buffer]:
    """Media type and bytes of an output, or of a part of one."""
    content_type, data = _write(form, value)
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise OutputError(f"{content_type[:100]!r} is no media type such as image/png")
    size = memoryview(data).nbytes
    if size > max_bytes:
        raise OutputTooLarge(f"the output has {size:,} bytes, at most {max_bytes:,} are sent")
    return content_type, data


def _write(form: str, value: Any) -> tuple[str, Buffer]:
    if isinstance(value, Blob):
        return value.content_type, value.data
    if isinstance(value, (bytes, bytearray, memoryview)):
        return BYTES_TYPE, memoryview(value).cast("B")
    if isinstance(value, str) and form != "json":
        return TEXT_TYPE, value.encode()
    try:
        return JSON_TYPE, json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise OutputError(_hint(value, error)) from None


def _plain(value: Any) -> Any:
    """numpy's and PyTorch's numbers and arrays, as JSON has them."""
    for name in ("tolist", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"a {type(value).__name__} is nothing that JSON has")


def _hint(value: Any, error: Exception) -> str:
    if "Out of range float" in str(error):
        return "the output holds NaN or infinity, which JSON does not have: return None or a number in its place"
    if isinstance(error, ValueError):
        return f"the output cannot be written as JSON: {error}"
    what = type(value).__name__
    return f"the output ({what}) cannot be written as JSON: {error}. Return dicts, lists, texts, numbers, bytes or postern.Blob"


def check_batch(outputs: Any, items: int) -> list[Any]:
    """One output an item, or OutputError."""
    if isinstance(outputs, (str, bytes, bytearray, memoryview, dict, Blob)) or not hasattr(outputs, "__len__"):
        what = type(outputs).__name__
        raise OutputError(f"predict() returned a {what}; expected a list with one output for each of the {items} items")
    if len(outputs) != items:
        raise OutputError(f"predict() returned {len(outputs)} outputs for {items} items; expected one for each, in order")
    return list(outputs)
