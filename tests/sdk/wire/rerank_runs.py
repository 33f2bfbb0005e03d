"""Reranking with Amazon's own client: `rerank_runs.py PORT` prints what was metered, as `client_runs.py` does."""

from __future__ import annotations

import importlib
import json
import sys

from client_runs import bedrock, main, run


@run("rerank", "ok")
def reranked(url: str) -> None:
    """A query over a hundred and one documents is two searches."""
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "eu-west-1"}
    client = importlib.import_module("boto3").client("bedrock-agent-runtime", endpoint_url=url, **keys)
    model = "arn:aws:bedrock:eu-west-1::foundation-model/amazon.rerank-v1:0"
    source = {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "parcel"}}}
    client.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "where"}}],
        sources=[source] * 101,
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": model}},
        },
    )


@run("rerank", "ok")
def reranked_invoked(url: str) -> None:
    body = json.dumps({"query": "where", "documents": ["parcel"] * 3, "api_version": 2})
    bedrock(url).invoke_model(modelId="cohere.rerank-v3-5:0", body=body)["body"].read()


if __name__ == "__main__":
    main(sys.argv[1], "rerank")
