"""Whether a name stands twice in one object of a JSON Lines block, seen over whole columns.

pyarrow keeps one of two equal names without a word. Counting each name over the file would miss a
line that has a name twice beside a line that lacks it, so each name is found, told and counted in
its own line; no line becomes a Python object.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

QUOTE, COLON, SPACE = 34, 58, 32
_WORD = 8


def names_once(block: np.ndarray, starts: np.ndarray, names: Sequence[str]) -> bool:
    """True when every line is known to have each of these names once at most.

    False is no verdict: a space before a colon, or a colon behind a quote within a value, is left
    to the exact reader.

    :param block: bytes of whole lines.
    :param starts: where each line begins.
    :param names: every name that a line may have.
    """
    colons = np.flatnonzero(block == COLON)
    if block.size < _WORD or not colons.size or colons[0] == 0:
        return False
    before = block[colons - 1]
    if (before <= SPACE).any():
        return False
    closing = colons[before == QUOTE] - 1
    reach = _WORD * -(-(max(map(len, names)) + 2) // _WORD)
    # Words that would begin before the block are looked at by hand: at most the first line's.
    early = int(np.searchsorted(closing, reach))
    if early and not _first_line_is_sound(block, starts):
        return False
    rest = closing[early:]
    codes = _told(block, rest, [f'"{name}"'.encode() for name in names], reach)
    if (codes < 0).any():
        return False
    lines = np.searchsorted(starts, rest, "right") - 1
    if early:  # the first line is judged; its names need not be whole here
        codes, lines = codes[lines > 0], lines[lines > 0]
    if early and (np.searchsorted(starts, closing[:early], "right") > 1).any():
        return False
    counted = np.bincount(lines * len(names) + codes)
    return not counted.size or int(counted.max()) <= 1


def _told(block: np.ndarray, closing: np.ndarray, texts: list[bytes], reach: int) -> np.ndarray:
    """Index of the quoted name that ends at each closing quote; -1 where it is none of them."""
    words = np.lib.stride_tricks.as_strided(
        block[:_WORD].view("<u8"), shape=(block.size - _WORD + 1,), strides=(1,)
    )
    back = [words[closing - (_WORD * (k + 1) - 1)] for k in range(reach // _WORD)]
    codes = np.full(closing.size, -1, np.int8)
    for index, text in enumerate(texts):
        hit = np.ones(closing.size, bool)
        for k in range(-(-len(text) // _WORD)):
            piece = text[max(0, len(text) - _WORD * (k + 1)) : len(text) - _WORD * k]
            mask = int.from_bytes((b"\xff" * len(piece)).rjust(_WORD, b"\0"), "little")
            value = int.from_bytes(piece.rjust(_WORD, b"\0"), "little")
            hit &= (back[k] & np.uint64(mask)) == np.uint64(value)
        codes[hit] = index
    return codes


def _first_line_is_sound(block: np.ndarray, starts: np.ndarray) -> bool:
    end = int(starts[1]) if starts.size > 1 else block.size

    def no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    try:
        json.loads(block[:end].tobytes(), object_pairs_hook=no_twins)
    except (ValueError, RecursionError):
        return False
    return True
