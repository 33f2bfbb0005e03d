"""Claude Code transcripts: one response on many lines and in three places is one fact."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reading import one_per_fact, reading, sum_of
from strategies import transcripts

METERS = {
    "input_tokens": "input_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens",
}


def _files(shared_data: Path) -> list[Path]:
    return sorted((shared_data / "claude_code_sessions").rglob("*.gz"))


def _chats(*paths: Path) -> list[dict[str, Any]]:
    return list(one_per_fact(reading(*paths).where(operation="chat")).values())


def _agent_id(row: dict[str, Any]) -> str | None:
    return dict(row["tags"] or ()).get("agent_id")


def _written_lines(shared_data: Path) -> list[dict[str, Any]]:
    """Main sessions and own logs, as the figures count them: without what only a parent's lines tell."""
    own = {"a881341", "acompact-fffbd0", None}
    return [row for row in _chats(*_files(shared_data)) if _agent_id(row) in own]


def test_every_line_of_a_response_is_one_fact(shared_data: Path, figures: dict[str, Any]) -> None:
    expected = figures["claude"]["Every line added, or one line per response"][1]
    rows = _written_lines(shared_data)
    assert len(rows) == expected["responses"] == 173
    for theirs, ours in METERS.items():
        # the result block of a881341 says 997 where its own log says 1 for the last response
        extra = 996 if theirs == "output_tokens" else 0
        assert sum_of(rows, ours) == expected[theirs] + extra


def test_each_session_has_its_own_and_its_sub_agents_responses(shared_data: Path, figures: dict[str, Any]) -> None:
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in _written_lines(shared_data):
        part = "main" if row["agent"] == "claude-code" else "own log"
        found[row["session_id"][:8], part, row["model_served"]].append(row)
    for row in figures["claude"]["By session, one per response"]:
        rows = found.pop((row["session"], row["part"], row["model"]))
        assert len(rows) == row["responses"]
        for theirs, ours in METERS.items():
            extra = 996 if theirs == "output_tokens" and "sonnet" in row["model"] else 0
            assert sum_of(rows, ours) == row[theirs] + extra
    assert not found


def test_a_file_alone_keeps_the_largest_output(shared_data: Path, figures: dict[str, Any]) -> None:
    by_name = {path.name: path for path in _files(shared_data)}
    for row in figures["claude"]["Lines and responses"]:
        path = by_name[row["file"]]
        main = [fact for fact in _chats(path) if "subagents" in str(path) or fact["agent"] == "claude-code"]
        assert len(main) == row["responses"]
        assert sum_of(main, "output_tokens") == row["output by last line"]


def test_an_agent_that_only_its_parent_tells_of_is_read_there(shared_data: Path) -> None:
    rows = [row for row in _chats(*_files(shared_data)) if _agent_id(row) == "afb92ff"]
    assert len(rows) == 6
    assert sum_of(rows, "output_tokens") == 7 + 3130
    assert {row["agent"] for row in rows} == {"Plan"}
    assert [row["model_served"] for row in rows].count(None) == 1
    assert {row["model_served"] or row["model_requested"] for row in rows} == {"claude-haiku-4-5-20251001"}


def test_a_result_block_is_the_response_it_repeats(shared_data: Path) -> None:
    rows = [row for row in _chats(*_files(shared_data)) if _agent_id(row) == "a881341"]
    assert sorted(row["output_tokens"] for row in rows) == [1, 1, 997]
    assert {row["agent"] for row in rows} == {"claude-code-guide"}


def test_without_the_log_beside_it_the_result_stands_for_itself(shared_data: Path, tmp_path: Path) -> None:
    main = next(path for path in _files(shared_data) if path.name.startswith("258c7280"))
    alone = Path(shutil.copy(main, tmp_path))
    rows = [row for row in _chats(alone) if _agent_id(row) == "a881341"]
    assert sorted(row["output_tokens"] for row in rows) == [1, 1, 997]


def test_counts_are_exclusive_and_cache_writes_have_a_lifetime(shared_data: Path) -> None:
    rows = _chats(*_files(shared_data))
    assert {(row["basis"], row["provider"]) for row in rows} == {("exclusive", "anthropic")}
    assert sum_of(rows, "cache_write_1h_tokens") == sum_of(rows, "cache_write_tokens")
    assert sum_of(rows, "cache_write_5m_tokens") == 0
    assert {row["service_tier"] for row in rows} == {"standard"}


def test_tools_are_known_by_name_and_state_only(shared_data: Path) -> None:
    main = next(path for path in _files(shared_data) if path.name.startswith("258c7280"))
    tools = reading(main).where(operation="tool", agent="claude-code")
    assert len(tools) == 186
    assert sum(row["failed"] for row in tools) == 7
    assert all(row["end_ns"] is None or row["end_ns"] >= row["start_ns"] for row in tools)
    told = json.dumps(reading(main).facts, default=str)
    assert "Research Claude hook output" not in told


def test_searches_the_provider_ran_are_units(tmp_path: Path) -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "server_tool_use": {"web_search_requests": 3}, "speed": "fast"}
    path = _transcript(tmp_path / "t.jsonl", [_line("m1", "r1", usage), _line("m2", "r2", usage)])
    row = reading(path).facts[0]
    assert row["units"] == [{"meter": "web_searches", "quantity": 3}]
    assert row["speed"] == "fast"


def test_lines_that_cannot_be_are_refused(tmp_path: Path) -> None:
    good = _line("m1", "r1", {"input_tokens": 1, "output_tokens": 2})
    odd = _line("m2", "r2", {"input_tokens": -1, "output_tokens": 2})
    timeless = {**_line("m3", "r3", {"input_tokens": 1, "output_tokens": 2}), "timestamp": None}
    path = _transcript(tmp_path / "t.jsonl", [good, odd, timeless])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"type": "assistant", \n')
    whole = reading(path)
    assert len(whole.facts) == 1
    assert whole.refused == 3
    assert whole.received == 4


def test_of_a_cut_transcript_every_whole_line_is_read(shared_data: Path, tmp_path: Path) -> None:
    main = next(path for path in _files(shared_data) if path.name.startswith("258c7280"))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(main.read_bytes()[: main.stat().st_size // 2])
    whole, part = reading(main), reading(cut)
    assert part.problems
    assert "cut or damaged" in part.problems[-1].what
    assert part.refused == 0
    assert {row["fact_key"] for row in part.where(operation="chat", agent="claude-code")} < {
        row["fact_key"] for row in whole.facts
    }


def test_the_order_of_lines_changes_nothing(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shuffled"
    shutil.copytree(shared_data / "claude_code_sessions", folder)
    for path in sorted(folder.rglob("*.gz")):
        lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
        random.Random(7).shuffle(lines)
        path.write_bytes(gzip.compress(b"".join(lines)))
    assert _told(*folder.rglob("*.gz")) == _told(*_files(shared_data))


@given(transcript=transcripts(), seed=st.integers(0, 999))
def test_split_and_shuffled_lines_give_the_same_facts(
    transcript: list[dict[str, Any]], seed: int, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("split")
    whole = _transcript(folder / "whole.jsonl", transcript)
    shuffled = list(transcript)
    random.Random(seed).shuffle(shuffled)
    middle = len(shuffled) // 2
    parts = [
        _transcript(folder / f"part{number}.jsonl", lines)
        for number, lines in enumerate((shuffled[:middle], shuffled[middle:]))
        if lines
    ]
    assert _told(*parts, format="claude_code") == _told(whole, format="claude_code")


def _told(*paths: Path, **options: Any) -> dict[bytes, tuple[Any, ...]]:
    columns = ("session_id", "agent", "model_served", "input_tokens", "output_tokens", "cache_read_tokens", "operation")
    rows = one_per_fact(reading(*paths, **options).facts)
    return {key: tuple(row[column] for column in columns) for key, row in rows.items()}


def _line(message_id: str, request_id: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "assistant",
        "sessionId": "s1",
        "uuid": f"{message_id}-line",
        "requestId": request_id,
        "timestamp": "2026-02-10T21:54:55.364Z",
        "message": {"role": "assistant", "id": message_id, "model": "claude-opus-4-6", "usage": usage, "content": []},
    }


def _transcript(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
