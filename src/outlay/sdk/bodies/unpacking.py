"""Unpacking: bodies arrive as they were sent; what a client asked to be packed is unpacked here for reading only.

The standard library unpacks gzip and deflate. Brotli and Zstandard are read where the client's own library is there: a
client asks for them only if it has one.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any

Unpack = Callable[[bytes], bytes]


def unpacker(encoding: str) -> Unpack | None:
    """A function that unpacks a body piece by piece, or None where nothing here can read that encoding."""
    steps: list[Unpack] = []
    for name in reversed([item.strip().lower() for item in encoding.split(",")]):
        if name in {"", "identity"}:
            continue
        step = _step(name)
        if step is None:
            return None
        steps.append(step)
    if len(steps) == 1:
        return steps[0]

    def unpack(data: bytes) -> bytes:
        for step in steps:
            data = step(data)
        return data

    return unpack


def _step(name: str) -> Unpack | None:
    if name in {"gzip", "x-gzip"}:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
    if name == "deflate":
        return _deflate()
    if name == "br":
        for module in ("brotli", "brotlicffi"):
            library = _library(module)
            if library is not None:
                reader = library.Decompressor()
                return reader.process if hasattr(reader, "process") else reader.decompress
    if name == "zstd":
        for module in ("compression.zstd", "backports.zstd", "zstandard"):
            library = _library(module)
            if library is not None:
                if module == "zstandard":
                    return library.ZstdDecompressor().decompressobj().decompress
                return library.ZstdDecompressor().decompress
    return None


def _deflate() -> Unpack:
    """Deflate with its zlib header, as the standard says, or without it, as some servers send it."""
    reader = zlib.decompressobj()
    begun = False

    def unpack(data: bytes) -> bytes:
        nonlocal reader, begun
        if begun:
            return reader.decompress(data)
        begun = bool(data)
        try:
            return reader.decompress(data)
        except zlib.error:
            reader = zlib.decompressobj(-zlib.MAX_WBITS)
            return reader.decompress(data)

    return unpack


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
