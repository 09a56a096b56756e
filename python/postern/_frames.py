"""Frames between the worker and this process: see docs/python.md, "How the two processes talk".

A frame is a header of 16 bytes (type u32, JSON bytes u32, data bytes u64, little-endian), a JSON object, and raw data. The
segments in the data begin at multiples of 16 bytes, so that arrays can be views of them.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

HEADER = struct.Struct("<IIQ")
ALIGN = 16
# Also what a small call costs in memory: it is read with one system call.
STAGING_BYTES = 65_536
MAX_JSON_BYTES = 16 * 1024 * 1024
# A buffer up to this size is kept for the next call when nobody holds a view of it any more.
MAX_KEPT_BYTES = 256 * 1024 * 1024
# sendmsg takes at most IOV_MAX (1,024 on Linux) parts.
MAX_PARTS = 1_000
# The kernel's default of 208 KiB costs a third of the throughput of large tensors.
SOCKET_BYTES = 1024 * 1024

# From the worker.
LOAD, CALL, CANCEL, UNLOAD = 1, 2, 3, 4
# To the worker.
READY, REFUSED, RESULT, FAILED, PART, PROGRESS = 17, 18, 19, 20, 21, 22

_PAD = bytes(ALIGN)


class Frame(NamedTuple):
    type: int
    head: dict[str, Any]
    data: memoryview


def padding(size: int) -> int:
    return -size % ALIGN


class Channel:
    """Both directions of the socket. One thread receives; any thread may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BYTES)
        self._staging = memoryview(bytearray(STAGING_BYTES))
        self._begin = 0
        self._end = 0
        self._kept = bytearray()
        self._sending = threading.Lock()

    def receive(self) -> Frame | None:
        """The next frame; None when the worker has closed the socket."""
        if not self._fill(HEADER.size):
            return None
        kind, json_bytes, data_bytes = HEADER.unpack_from(self._staging, self._begin)
        if json_bytes > MAX_JSON_BYTES:
            raise ConnectionError(f"a frame with {json_bytes} bytes of JSON")
        self._begin += HEADER.size
        head = json.loads(bytes(self._take(bytearray(json_bytes)))) if json_bytes else {}
        data = self._take(self._buffer(data_bytes)) if data_bytes else memoryview(b"")
        return Frame(kind, head, data)

    def poll(self) -> Frame | None:
        """A frame that has begun to arrive, without waiting for one."""
        if self._begin == self._end:
            try:
                got = self._sock.recv_into(self._staging, STAGING_BYTES, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                return None
            if got == 0:
                raise ConnectionError("the worker is gone")
            self._begin, self._end = 0, got
        return self.receive()

    def send(self, kind: int, head: dict[str, Any], segments: Sequence[Any] = ()) -> None:
        """Segments are contiguous buffers; they are sent from where they lie."""
        text = json.dumps(head, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        size = 0
        parts: list[Any] = [b""]
        for segment in segments:
            length = memoryview(segment).nbytes
            if length == 0:
                continue
            parts.append(segment)
            pad = padding(length)
            if pad:
                parts.append(_PAD[:pad])
            size += length + pad
        parts[0] = HEADER.pack(kind, len(text), size) + text
        with self._sending:
            for start in range(0, len(parts), MAX_PARTS):
                self._write(parts[start : start + MAX_PARTS])

    def _write(self, parts: list[Any]) -> None:
        sent = self._sock.sendmsg(parts)
        total = sum(memoryview(part).nbytes for part in parts)
        while sent < total:
            rest, passed = [], 0
            for part in parts:
                view = memoryview(part).cast("B")
                if passed + view.nbytes > sent:
                    rest.append(view[max(0, sent - passed) :])
                passed += view.nbytes
            parts, total, sent = rest, total - sent, 0
            sent = self._sock.sendmsg(parts)

    def _fill(self, need: int) -> bool:
        """At least `need` bytes in the staging buffer; False at the end of the stream."""
        if self._end - self._begin < need and self._begin + need > STAGING_BYTES:
            have = self._end - self._begin
            self._staging[:have] = bytes(self._staging[self._begin : self._end])
            self._begin, self._end = 0, have
        while self._end - self._begin < need:
            if self._begin == self._end:
                self._begin = self._end = 0
            got = self._sock.recv_into(self._staging[self._end :])
            if got == 0:
                return False
            self._end += got
        return True

    def _take(self, into: bytearray) -> memoryview:
        """Fills `into`: first from the staging buffer, the rest straight from the socket."""
        view = memoryview(into)
        size = len(into)
        have = min(size, self._end - self._begin)
        view[:have] = self._staging[self._begin : self._begin + have]
        self._begin += have
        while have < size:
            got = self._sock.recv_into(view[have:])
            if got == 0:
                raise ConnectionError("the worker is gone")
            have += got
        return view

    def _buffer(self, size: int) -> bytearray:
        """Memory for a call's data: the last call's, when it fits and no view of it is left; fresh memory costs page faults."""
        kept = self._kept
        if len(kept) == size:
            try:
                # A bytearray with a view on it refuses to change its size.
                kept.append(kept.pop())
                return kept
            except BufferError:
                pass
        fresh = bytearray(size)
        if size <= MAX_KEPT_BYTES:
            self._kept = fresh
        return fresh


def split(data: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    """The segments of the data. Raises ConnectionError when they do not add up."""
    segments, position = [], 0
    for size in sizes:
        segments.append(data[position : position + size])
        position += size + padding(size)
    if position != len(data):
        raise ConnectionError(f"segments of {position} bytes in data of {len(data)}")
    return segments
