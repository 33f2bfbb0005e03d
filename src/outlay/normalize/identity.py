"""Identity: when two reports are one usage.

A report is known by its `fact_key`, so a resend is the same row. An answer is known by the provider's id of it: a log,
a span and a framework's span around the SDK's all carry that id, and so they share one `usage_key`.

Not every id names an answer. Local servers send `chatcmpl-local`, gateways a counter, and a failed attempt carries the
id of the request, which its successful retry may carry too. An id therefore counts only on a chat or an embedding that
did not fail, and only if it holds twelve letters or digits in a row: every provider's ids do, fixed words do not. It
counts too where an answer was cut while it came: what that had used is an estimate until somebody states it. A run of
a tool is known by the id of the call that asked for it, failed or not: it is not asked for twice under one id.
The provider's name is not part of the key, because the framework says `openai` where the SDK says `azure.ai.openai`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.normalize.columns import Mask, key_bytes
from outlay.sources.facts import KEY

UNIQUE_RUN = "[0-9A-Za-z]{12}"
"""What an id must hold to be taken for unique."""


def usage_keys(fact_key: pa.Array, response_id: pa.Array, answers: Mask) -> pa.Array:
    """The usage key of every row; `answers` marks the rows that a response id may identify."""
    if response_id.null_count == len(response_id) or not answers.any():
        return fact_key
    if pa.types.is_dictionary(response_id.type):
        response_id = response_id.dictionary_decode()
    unique = pc.match_substring_regex(response_id, UNIQUE_RUN).fill_null(fill_value=False)
    rows = np.flatnonzero(np.asarray(unique) & answers)
    if not len(rows):
        return fact_key
    keys = key_bytes(fact_key).copy()
    keys[rows] = np.frombuffer(_digests(response_id.take(pa.array(rows))), np.uint8).reshape(-1, 16)
    return pa.FixedSizeBinaryArray.from_buffers(KEY, len(keys), [None, pa.py_buffer(keys)])


def _digests(ids: pa.Array) -> bytes:
    """One 16-byte digest an id, end to end."""
    blake2b = hashlib.blake2b
    texts = ids.cast(pa.binary()).to_pylist()
    return b"".join([blake2b(b"answer\0" + text, digest_size=16).digest() for text in texts])
