"""Claude Code: a response on many lines counts once, a sub-agent's work once wherever it is told."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asking import Books, exact_money

CALLS = ("--where", "operation:chat")
SUMS = "cost,list_cost,usages,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens"
ONCE = "By session, one per response"
AGENTS = "Sub-agents: the same work in up to three places"
ONLY_IN_ITS_PARENT = "afb92ff"
SONNET_OUTPUT_PRICE = Decimal(15) / 1_000_000

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def imported(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Books, dict[str, Any]]:
    """The whole folder, and what the import said."""
    filled = Books(tmp_path_factory.mktemp("claude"))
    return filled, filled.load(shared_data / "claude_code_sessions")


@pytest.fixture(scope="module")
def calls(imported: tuple[Books, dict[str, Any]]) -> Rows:
    """The responses by session, agent and model."""
    return imported[0].rows(SUMS, *CALLS, by="session,tag.agent_id,agent,model")


@pytest.fixture(scope="module")
def agents(figures: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The figures of sub-agents by agent and place."""
    return {(row["agent"], row["place"]): row for row in figures["claude"][AGENTS]}


@pytest.fixture(scope="module")
def unsaid(agents: dict[tuple[str, str], dict[str, Any]]) -> int:
    """Output tokens which a881341's own log leaves out of its last response: the parent's result block has them."""
    own = agents["a881341", "own log"]
    return agents["a881341", "result"]["output_tokens"] - own["output_tokens"] // own["responses"]


def _tokens(row: dict[str, Any]) -> tuple[int, int, int]:
    """Input without the cache, cache reads, cache writes: ours count every input token as input."""
    cached = row["cache_read_tokens"] + row["cache_write_tokens"]
    return row["input_tokens"] - cached, row["cache_read_tokens"], row["cache_write_tokens"]


def _their_tokens(*rows: dict[str, Any]) -> tuple[int, ...]:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return tuple(sum(row[name] for row in rows) for name in names)


def test_every_session_part_and_model(calls: Rows, figures: dict[str, Any], unsaid: int) -> None:
    found = {
        (row["session"][:8], "own log" if row["tag.agent_id"] != "(untagged)" else "main", row["model"]): row
        for row in calls
        if row["tag.agent_id"] != ONLY_IN_ITS_PARENT
    }
    for row in figures["claude"][ONCE]:
        ours = found.pop((row["session"], row["part"], row["model"].removesuffix("-20250929")))
        extra = unsaid if "sonnet" in row["model"] else 0
        assert ours["usages"] == row["responses"]
        assert _tokens(ours) == _their_tokens(row)
        assert ours["output_tokens"] == row["output_tokens"] + extra
        assert exact_money(ours["cost"], Decimal(row["list price"]) + extra * SONNET_OUTPUT_PRICE)
        assert ours["list_cost"] == ours["cost"]
    assert not found


def test_one_per_response_not_every_line(calls: Rows, figures: dict[str, Any], unsaid: int) -> None:
    lines, once = figures["claude"]["Every line added, or one line per response"]
    written = [row for row in calls if row["tag.agent_id"] != ONLY_IN_ITS_PARENT]
    assert sum(row["usages"] for row in written) == once["responses"] < lines["responses"]
    assert sum(row["output_tokens"] for row in written) == once["output_tokens"] + unsaid
    cost = sum(Decimal(row["cost"]) for row in written)
    assert exact_money(cost, Decimal(once["list price"]) + unsaid * SONNET_OUTPUT_PRICE)
    assert cost < Decimal(lines["list price"]) / 2


def test_every_line_a_response_of_its_own_would_cost_twice_as_much(
    shared_data: Path, tmp_path: Path, figures: dict[str, Any]
) -> None:
    """The wrong sum of trap 1, and the first words of trap 2: the same files, told so that no line repeats another."""
    every, first = Books(tmp_path / "every"), Books(tmp_path / "first")
    for path in sorted((shared_data / "claude_code_sessions").rglob("*.gz")):
        told, once = tmp_path / "told" / path.name, tmp_path / "once" / path.name
        for kept, only_first in ((told, False), (once, True)):
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(gzip.compress(_retold(path, only_first=only_first)))
    every.load(tmp_path / "told")
    first.load(tmp_path / "once")
    (lines,) = (
        row for row in figures["claude"]["Every line added, or one line per response"] if row["way"] == "every line"
    )
    ours = every.total(SUMS, *CALLS)
    assert (ours["usages"], ours["output_tokens"]) == (lines["responses"], lines["output_tokens"])
    assert _tokens(ours) == _their_tokens(lines)
    assert exact_money(ours["cost"], lines["list price"])
    outputs = [row["output by first line"] for row in figures["claude"]["Lines and responses"]]
    assert first.total(SUMS, *CALLS)["output_tokens"] == sum(outputs)


def _retold(path: Path, *, only_first: bool) -> bytes:
    """A transcript's own responses alone, each line under an id of its own; or of each response only the first line."""
    told: list[str] = []
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(gzip.decompress(path.read_bytes()).decode().splitlines()):
        entry = json.loads(line)
        if entry.get("type") != "assistant" or not entry["message"].get("usage"):
            continue
        key = entry["message"]["id"], entry["requestId"]
        if only_first and key in seen:
            continue
        seen.add(key)
        entry["requestId"] = f"{entry['requestId']}-{path.name}-{number}"
        entry["message"]["id"] = f"{entry['message']['id']}-{path.name}-{number}"
        told.append(json.dumps(entry))
    return "\n".join(told).encode()


def test_the_import_says_how_many_lines_were_known_already(
    imported: tuple[Books, dict[str, Any]], figures: dict[str, Any]
) -> None:
    duplicates = {Path(row["file"]).name: row["duplicates"] for row in imported[1]["rows"]}
    for row in figures["claude"]["Lines and responses"]:
        again = row["lines with usage"] - row["responses"]
        tells_of_others = row["file"] in ("258c7280-ae70-4798-800f-63464d01a85d.jsonl.gz", "subagent.jsonl.gz")
        # the lines of a parent repeat its sub-agents' responses as well
        assert duplicates[row["file"]] >= again if tells_of_others else duplicates[row["file"]] == again


def test_each_file_alone_keeps_the_last_word(shared_data: Path, tmp_path: Path, figures: dict[str, Any]) -> None:
    paths = {path.name: path for path in (shared_data / "claude_code_sessions").rglob("*.gz")}
    for row in figures["claude"]["Lines and responses"]:
        alone = Books(tmp_path / row["file"])
        alone.load(paths[row["file"]])
        own = alone.table("usages,output_tokens", *CALLS, by="agent")
        ours = own.get(("claude-code",)) or next(iter(own.values()))
        assert (ours["usages"], ours["output_tokens"]) == (row["responses"], row["output by last line"])


def test_an_agent_told_in_three_places_counts_once(
    calls: Rows, agents: dict[tuple[str, str], dict[str, Any]], unsaid: int
) -> None:
    (ours,) = [row for row in calls if row["tag.agent_id"] == "a881341"]
    own = agents["a881341", "own log"]
    assert (ours["usages"], ours["agent"]) == (own["responses"], "claude-code-guide")
    assert _tokens(ours) == _their_tokens(own)
    assert ours["output_tokens"] == own["output_tokens"] + unsaid


def test_an_agent_that_only_its_parent_tells_of_counts_too(
    imported: tuple[Books, dict[str, Any]], calls: Rows, agents: dict[tuple[str, str], dict[str, Any]]
) -> None:
    (ours,) = [row for row in calls if row["tag.agent_id"] == ONLY_IN_ITS_PARENT]
    told = agents[ONLY_IN_ITS_PARENT, "progress"], agents[ONLY_IN_ITS_PARENT, "result"]
    assert ours["usages"] == sum(row["responses"] for row in told)
    assert _tokens(ours) == _their_tokens(*told)
    assert ours["output_tokens"] == sum(row["output_tokens"] for row in told)
    steps = imported[0].command("session", ours["session"])["rows"]
    costs = [Decimal(step["cost"]) for step in steps if step["model"] == "claude-haiku-4-5"]
    assert (len(costs), sum(costs[:5])) == (6, Decimal("0.0381633"))  # the five of the progress lines: trap 4
    assert sum(costs) == Decimal(ours["cost"])


def test_an_agent_with_a_log_of_its_own(calls: Rows, agents: dict[tuple[str, str], dict[str, Any]]) -> None:
    (ours,) = [row for row in calls if row["tag.agent_id"] == "acompact-fffbd0"]
    row = agents["acompact-fffbd0", "own log"]
    assert (ours["usages"], ours["output_tokens"]) == (row["responses"], row["output_tokens"])
    assert _tokens(ours) == _their_tokens(row)
