# pyright: basic
"""Parts of many records, put together record by record."""

from typing import Any

import numpy as np

from onhand.base.compiled import compiled


@compiled
def interleave(heads: Any, head_size: int, rows: Any, words: Any, rows_first: Any, words_first: Any) -> Any:
    """Head, rows and words of each record, one after the other: uint8 each in and out; int64[records + 1] where the
    rows and words of each begin, and, returned with the bytes, where the records do."""
    records = len(rows_first) - 1
    out = np.empty(len(heads) + len(rows) + len(words), np.uint8)
    first = np.zeros(records + 1, np.int64)
    at = 0
    for r in range(records):
        for part, start, end in (
            (heads, r * head_size, (r + 1) * head_size),
            (rows, rows_first[r], rows_first[r + 1]),
            (words, words_first[r], words_first[r + 1]),
        ):
            out[at : at + end - start] = part[start:end]
            at += end - start
        first[r + 1] = at
    return out, first
