"""Reranking on Amazon Bedrock. The answer says nothing of what it is charged for: that stands in the request.

One query with up to a hundred documents is one search, and each further hundred another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from outlay.core.centre import Operation
from outlay.sdk.bodies.reading import Reading, part, parts
from outlay.sdk.bodies.shape import Shape

DOCUMENTS_A_SEARCH = 100


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """An answer that ranks is one that was charged."""
    reading.complete = isinstance(data.get("results"), list)
    reading.ended = reading.complete


def asked(body: bytes) -> tuple[str, int]:
    """(model, searches) of a request, `rerank` of the agent runtime or `invoke` of a model; ("", 0) if unreadable."""
    try:
        read_: object = json.loads(body)
    except ValueError:
        return "", 0
    if not isinstance(read_, dict):
        return "", 0
    data = cast("dict[str, Any]", read_)
    documents = data.get("sources", data.get("documents"))
    if not isinstance(documents, list):
        return "", 0
    chosen = part(part(data, "rerankingConfiguration"), "bedrockRerankingConfiguration")
    name = str(part(chosen, "modelConfiguration").get("modelArn") or "").rpartition("/")[2]
    queries = max(1, len(parts(data, "queries")))
    return name, queries * max(1, -(-len(cast("list[object]", documents)) // DOCUMENTS_A_SEARCH))


RERANK = Shape("bedrock_rerank", Operation.RERANK, read, members=frozenset({"results"}))
