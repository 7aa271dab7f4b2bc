"""Messages between the grader and a sandbox: plain arrays and JSON, no pickle, every size limited.

A message is the length of its words, the words (JSON), then the bytes of its arrays. Whoever receives trusts
nothing: kinds and shapes of arrays come from a short list, and their bytes must be exactly as many as
announced. The same file is used on both sides; it needs NumPy only.
"""

import json
import math
import re
from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

WORDS = 1 << 20  # bytes of JSON in one message
BYTES = 1 << 26  # bytes of arrays in one message
DEPTH = 16  # of lists in lists
KINDS = re.compile(r"[<|](b1|[iu][1248]|f[248]|c8|c16|U[1-9]\d{0,5})")


class Malformed(ValueError):
    """A message that the other side should not have sent."""


def encode(words: dict[str, Any], value: Any = None, largest: int = BYTES) -> bytes:
    """Write a message: words that JSON can hold, and a value of arrays, numbers and text in any structure.

    `largest` is how many bytes its arrays may have.

    Raises
    ------
    Malformed
        If the message is too large.

    Examples
    --------
    >>> words, value = decode_all(encode({"case": 1}, [np.eye(2), {"bits": 3}]))
    >>> words["case"], value[0].shape, value[1]
    (1, (2, 2), {'bits': 3})
    """
    arrays: list[np.ndarray] = []
    tree = pack(value, arrays)
    kinds = [[array.dtype.str, list(array.shape)] for array in arrays]
    text = json.dumps({"words": words, "value": tree, "arrays": kinds}).encode()
    size = sum(array.nbytes for array in arrays)
    if len(text) > WORDS or size > largest:
        raise Malformed(
            f"a message of {len(text) + size} bytes; at most {WORDS} of text, {largest} of arrays"
        )
    return b"".join([len(text).to_bytes(4, "big"), text, *(array.tobytes() for array in arrays)])


def pack(value: Any, arrays: list[np.ndarray], depth: int = DEPTH) -> Any:
    """Return what JSON can hold of a value; its arrays go to `arrays`."""
    if value is None or (type(value) in (bool, str, float) or (type(value) is int and abs(value) < 2**63)):
        return {"plain": value}
    if isinstance(value, np.ndarray | np.generic):
        return pack_array(np.asarray(value), "array", arrays)
    if depth and isinstance(value, dict) and all(type(name) is str for name in value):
        return {"dict": {name: pack(part, arrays, depth - 1) for name, part in value.items()}}
    if depth and isinstance(value, list | tuple):
        kinds = set(map(type, value))
        if len(value) > 64 and kinds in ({float}, {int}):  # a long list of numbers travels as a row
            return pack_array(np.asarray(value), "row", arrays)
        return {"list": [pack(part, arrays, depth - 1) for part in value]}
    try:
        if isinstance(value, Number) and not isinstance(value, int | complex):
            return {"plain": float(value)}  # a fraction or a decimal number
        array = np.asarray(value)  # a complex number, a range, a series of another library
    except Exception:
        array = np.empty(0, dtype=object)
    known = array.dtype.kind in "biufcU"
    return pack_array(array, "array", arrays) if known else {"other": type(value).__name__[:80]}


def pack_array(array: np.ndarray, label: str, arrays: list[np.ndarray]) -> dict[str, Any]:
    """Put an array, in a common kind, among those that travel."""
    wider = {"f": np.float64, "c": np.complex128}
    if array.dtype.kind in wider and array.dtype.itemsize > np.dtype(wider[array.dtype.kind]).itemsize:
        array = array.astype(wider[array.dtype.kind])
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if not KINDS.fullmatch(array.dtype.str):
        return {"other": f"array of dtype {array.dtype}"[:80]}
    arrays.append(np.asarray(array, order="C"))
    return {label: len(arrays) - 1}


def other(name: str) -> Any:
    """Stand for something in an answer that is no number, array or text: a thing whose kind has this name."""
    return type(re.sub(r"\W", "_", name)[:80] or "thing", (), {})()


def unpack(tree: Any, arrays: list[np.ndarray], depth: int = DEPTH + 1) -> Any:
    """Undo `pack`; raise `Malformed` if this is nothing that `pack` makes."""
    if depth < 0 or not isinstance(tree, dict) or len(tree) != 1:
        raise Malformed("no value")
    ((label, part),) = tree.items()
    if label == "plain" and (part is None or type(part) in (bool, int, float, str)):
        return part
    if label in ("array", "row") and type(part) is int and 0 <= part < len(arrays):
        return arrays[part] if label == "array" else arrays[part].tolist()
    if label == "dict" and isinstance(part, dict):
        return {name: unpack(inner, arrays, depth - 1) for name, inner in part.items()}
    if label == "list" and isinstance(part, list):
        return [unpack(inner, arrays, depth - 1) for inner in part]
    if label == "other" and isinstance(part, str):
        return other(part)
    raise Malformed(f"no value: {label[:20]}")


def decode(read: Callable[[int], bytes], largest: int = BYTES) -> tuple[dict[str, Any], Any]:
    """Receive a message with at most `largest` bytes of arrays; `read(n)` returns exactly n bytes.

    Raises
    ------
    Malformed
        If it is not exactly what `encode` writes, or larger than allowed.
    """
    length = int.from_bytes(read(4), "big")
    if length > WORDS:
        raise Malformed(f"{length} bytes of text")
    try:
        message = json.loads(read(length).decode("utf-8"))
        words, tree, kinds = message["words"], message["value"], message["arrays"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"no JSON of the agreed form: {type(error).__name__}") from None
    if not isinstance(words, dict) or not isinstance(kinds, list):
        raise Malformed("no JSON of the agreed form")
    formats = [format_of(kind) for kind in kinds]
    if sum(size for *_, size in formats) > largest:
        raise Malformed(f"more than {largest} bytes of arrays")
    return words, unpack(tree, [array_from(read(size), dtype, shape) for dtype, shape, size in formats])


def format_of(kind: Any) -> tuple[np.dtype, tuple[int, ...], int]:
    """Check an announced array: return its kind, its shape and how many bytes it has."""
    match kind:
        case [str(name), [*shape]] if KINDS.fullmatch(name) and len(shape) <= 32:
            if all(type(n) is int and 0 <= n <= BYTES for n in shape):
                dtype = np.dtype(name)
                return dtype, tuple(shape), math.prod(shape) * dtype.itemsize
    raise Malformed("an array of an unknown kind")


def array_from(data: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Make an array of its bytes; truth values are 0 or 1 and text is text, whatever the bytes say."""
    array = np.frombuffer(data, dtype).reshape(shape).copy()
    if dtype.kind == "b":
        return array.view(np.uint8) != 0
    if dtype.kind == "U" and (np.frombuffer(data, "<u4") > 0x10FFFF).any():
        raise Malformed("text that is no text")
    return array


def decode_all(data: bytes) -> tuple[dict[str, Any], Any]:
    """Read one message that lies in memory."""
    place = 0

    def read(size: int) -> bytes:
        nonlocal place
        place += size
        return data[place - size : place]

    return decode(read)
