"""Tables with a mapping against the figures of the files, and rows that are not as they should be."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given

from outlay.core.errors import FormatError
from outlay.core.money import nano_of
from outlay.core.period import ns_of
from reading import Reading, reading, sum_of
from strategies import spend_rows


def _figure(figures: dict[str, Any], name: str) -> Any:
    return next(row["value"] for row in figures["aider"]["Messages"] if row["figure"] == name)


def _events(shared_data: Path) -> Reading:
    return reading(next((shared_data / "aider_analytics").glob("events*.gz")))


def test_aider_messages_are_those_of_the_file(shared_data: Path, figures: dict[str, Any]) -> None:
    whole = _events(shared_data)
    messages = whole.where(failed=False, operation="chat")
    assert len(messages) == _figure(figures, "messages")
    assert len(whole.where(failed=True)) == _figure(figures, "message exceptions")
    assert sum_of(messages, "input_tokens") == _figure(figures, "tokens in")
    assert sum_of(messages, "output_tokens") == _figure(figures, "tokens out")
    # each message is rounded once to a nano-unit
    assert abs(sum_of(messages, "cost_nano") - nano_of(_figure(figures, "cost"))) <= len(messages)
    unpriced = [row for row in messages if row["cost_nano"] is None]
    assert len(unpriced) == _figure(figures, "messages at cost 0")
    assert sum_of(unpriced, "total_tokens") == _figure(figures, "tokens of messages at cost 0")
    silent = [row for row in messages if row["cost_nano"] and not row["output_tokens"]]
    assert len(silent) == _figure(figures, "paid messages with no output")
    assert sum_of(silent, "cost_nano") == nano_of(_figure(figures, "cost of these"))
    assert max(row["cost_nano"] or 0 for row in messages) == nano_of(_figure(figures, "dearest message"))


def test_aider_by_month_and_model(shared_data: Path, figures: dict[str, Any]) -> None:
    months: dict[str, list[dict[str, Any]]] = defaultdict(list)
    models: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _events(shared_data).where(failed=False, operation="chat"):
        months[datetime.fromtimestamp(row["start_ns"] / 1e9, UTC).strftime("%Y-%m")].append(row)
        models[row["model_requested"]].append(row)
    for expected, groups in (("By month, UTC", months), ("By model, the ten dearest", models)):
        for row in figures["aider"][expected]:
            rows = groups[row["month" if groups is months else "model"]]
            assert (len(rows), sum_of(rows, "total_tokens")) == (row["messages"], row["tokens"])
            assert abs(sum_of(rows, "cost_nano") - nano_of(row["cost"])) <= len(rows)
    assert len(months) == len(figures["aider"]["By month, UTC"])
    assert len(models["None"]) == _figure(figures, "messages whose model is the text None")


def test_messages_of_one_second_are_several(shared_data: Path) -> None:
    rows = _events(shared_data).facts
    assert len({row["fact_key"] for row in rows}) == len(rows) > len({(row["user"], row["start_ns"]) for row in rows})


def test_benchmark_runs_have_one_cost_or_none(shared_data: Path, figures: dict[str, Any]) -> None:
    expected = figures["aider"]["Benchmark runs"][0]
    rows = reading(shared_data / "aider_analytics" / "edit_leaderboard.yml").facts
    priced = [row for row in rows if row["cost_nano"]]
    assert (len(rows), len(priced)) == (expected["runs"], expected["total_cost above 0"])
    assert sum_of(priced, "cost_nano") == nano_of(expected["sum"])
    unknown = [row for row in rows if row not in priced]
    assert all(row["units"] == [{"meter": "total", "quantity": 1}] for row in unknown)


def test_azure_requests_are_those_of_the_file(shared_data: Path, figures: dict[str, Any]) -> None:
    whole = reading(next((shared_data / "azure_llm_2023").glob("*.gz")))
    hours: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in whole.facts:
        hours[datetime.fromtimestamp(row["start_ns"] // 10**9, UTC).strftime("%Y-%m-%d %H")].append(row)
    hours["all"] = whole.facts
    for row in figures["azure"]["By hour"]:
        rows = hours[row["hour"]]
        assert (len(rows), sum_of(rows, "input_tokens")) == (row["requests"], row["context"])
        assert sum_of(rows, "output_tokens") == row["generated"]
    first = ns_of(datetime(2023, 11, 16, 18, 15, 46, tzinfo=UTC)) + 680_590_000
    assert min(row["start_ns"] for row in whole.facts) == first
    assert {row["zone_assumed"] for row in whole.facts} == {True}
    assert len({row["fact_key"] for row in whole.facts}) == len(whole.facts)


def test_mooncake_requests_are_not_told_apart_by_time(shared_data: Path, figures: dict[str, Any]) -> None:
    expected = figures["mooncake"]["Requests"][0]
    rows = reading(next((shared_data / "mooncake_conversation").glob("*.gz"))).facts
    assert len({row["fact_key"] for row in rows}) == len(rows) == expected["requests"]
    assert len({row["start_ns"] for row in rows}) == expected["distinct timestamps"]
    assert (sum_of(rows, "input_tokens"), sum_of(rows, "output_tokens")) == (
        expected["tokens in"],
        expected["tokens out"],
    )
    span_s = Decimal(max(row["start_ns"] for row in rows) - min(row["start_ns"] for row in rows)) / 10**9
    assert span_s == Decimal(expected["span s"])
    assert {row["zone_assumed"] for row in rows} == {True}


def test_openhands_tasks_have_a_cost_and_an_outcome(shared_data: Path, figures: dict[str, Any]) -> None:
    folder = shared_data / "openhands_index"
    every: set[bytes] = set()
    for row in figures["openhands_index"]["Tasks by benchmark"]:
        path = next(folder.rglob(f"{row['agent/model']}/instance_results/{row['benchmark']}.json"))
        whole = reading(path)
        every |= {fact["fact_key"] for fact in whole.facts}
        assert len(whole.facts) == len(whole.outcomes) == row["tasks"]
        known = [fact for fact in whole.facts if fact["cost_nano"] is not None]
        assert len(known) == row["with cost"] - row["at cost 0"]
        assert abs(sum_of(known, "cost_nano") - nano_of(row["cost"])) <= len(known)
        assert whole.statuses().count("done") == row["resolved"]
        assert whole.statuses().count("unknown") == row["unknown result"]
        assert {fact["model_requested"] for fact in whole.facts} == {row["agent/model"].split("/")[1]}
        assert {fact["zone_assumed"] for fact in whole.facts} == {False}
    assert len(every) == sum(row["tasks"] for row in figures["openhands_index"]["Tasks by benchmark"])


def test_openhands_runs_are_outcomes_without_cost(shared_data: Path, figures: dict[str, Any]) -> None:
    for row in figures["openhands_runs"]["Runs"]:
        whole = reading(shared_data / "openhands_runs" / row["file"])
        assert (len(whole.facts), len(whole.outcomes)) == (0, row["runs"])
        assert whole.statuses().count("done") == row["succeeded"]
        tags = [dict(outcome["tags"]) for outcome in whole.outcomes]
        assert {told["model"] for told in tags if "model" in told} == {row["model"]}
        assert sum(told["error"] == "yes" for told in tags) == row["with an error"]


# ---- tables of our own ------------------------------------------------------------------------------------------

SPEND = {
    "request_id": "r1",
    "call_type": "acompletion",
    "spend": "0.000123",
    "total_tokens": "15",
    "prompt_tokens": "10",
    "completion_tokens": "5",
    "startTime": "2026-01-01T10:00:00Z",
    "endTime": "2026-01-01T10:00:02Z",
    "model": "gpt-4.1",
    "custom_llm_provider": "openai",
    "team_id": "t1",
    "session_id": "s1",
    "status": "success",
    "metadata": json.dumps({"user_api_key_team_alias": "care", "usage_object": {"cache_read_input_tokens": 3}}),
}


def _csv(path: Path, *rows: dict[str, str]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(SPEND))
    writer.writeheader()
    writer.writerows({**SPEND, **row} for row in rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def test_a_spend_log_row_becomes_a_fact(tmp_path: Path) -> None:
    row = reading(_csv(tmp_path / "a.csv", {})).facts[0]
    assert (row["operation"], row["provider"], row["model_served"], row["team"]) == (
        *("chat", "openai", "gpt-4.1", "care"),
    )
    assert (row["cost_nano"], row["input_tokens"], row["cache_read_tokens"]) == (123_000, 10, 3)
    assert row["end_ns"] - row["start_ns"] == 2 * 10**9
    assert (row["source"], row["failed"], row["zone_assumed"]) == ("table:litellm_spend_logs", False, False)


def test_the_same_rows_are_the_same_facts_in_every_format(tmp_path: Path) -> None:
    rows = [{**SPEND, "request_id": f"r{number}", "spend": f"0.00000000{number}5"} for number in range(1, 6)]
    paths = [_csv(tmp_path / "a.csv", *rows)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    pa_parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    paths += [tmp_path / "a.jsonl", tmp_path / "a.json", tmp_path / "a.parquet"]
    told = [[{**row, "origin": None} for row in reading(path).facts] for path in paths]
    assert told[0] == told[1] == told[2] == told[3]
    assert [row["cost_nano"] for row in told[0]] == [2, 2, 4, 4, 6]  # half to even


def test_numbers_of_a_typed_table_are_read_as_they_are_written(tmp_path: Path) -> None:
    typed = {**SPEND, "spend": 0.1, "prompt_tokens": 10, "startTime": datetime(2026, 1, 1, 10, tzinfo=UTC)}
    pa_parquet.write_table(pa.Table.from_pylist([typed]), tmp_path / "typed.parquet")
    row = reading(tmp_path / "typed.parquet").facts[0]
    assert (row["cost_nano"], row["input_tokens"]) == (100_000_000, 10)
    assert row["start_ns"] == ns_of(datetime(2026, 1, 1, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt_tokens": "-3"}, "input_tokens cannot be: '-3'"),
        ({"prompt_tokens": "1.5"}, "input_tokens cannot be: '1.5'"),
        ({"completion_tokens": "99999999999999999999"}, "output_tokens cannot be"),
        ({"spend": "cheap"}, "cost cannot be: 'cheap'"),
        ({"spend": "-1"}, "cost cannot be: '-1'"),
        ({"spend": "NaN"}, "cost cannot be: 'NaN'"),
        ({"startTime": "soon"}, "start is no time: 'soon'"),
        ({"startTime": ""}, "no start"),
    ],
)
def test_a_row_that_cannot_be_is_refused_alone(tmp_path: Path, change: dict[str, str], said: str) -> None:
    whole = reading(_csv(tmp_path / "a.csv", {"request_id": "ok"}, change, {"request_id": "too"}))
    assert (len(whole.facts), whole.refused, whole.received) == (2, 1, 3)
    assert [problem.where for problem in whole.problems] == ["a.csv, row 2"]
    assert said in whole.problems[0].what


def test_an_end_before_the_start_is_dropped(tmp_path: Path) -> None:
    whole = reading(_csv(tmp_path / "a.csv", {"endTime": "2026-01-01T09:59:59Z"}))
    assert (whole.facts[0]["end_ns"], whole.refused) == (None, 0)
    assert whole.problems[0].what == "negative duration: -1000 ms"


def test_rows_of_too_many_or_too_few_values_are_refused(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", {}, {"request_id": "r2"})
    with path.open("a", encoding="utf-8") as file:
        file.write("only,three,values\n" + "x," * 30 + "\n")
    whole = reading(path)
    assert (len(whole.facts), whole.refused) == (2, 2)
    assert "3 values in a row of 14 columns" in whole.problems[0].what


def test_many_bad_rows_are_counted_and_the_first_listed(tmp_path: Path) -> None:
    whole = reading(_csv(tmp_path / "a.csv", *({"request_id": f"r{n}", "spend": "x"} for n in range(300)), {}))
    assert (len(whole.facts), whole.refused, len(whole.problems)) == (1, 300, 101)
    assert whole.problems[-1].what == "200 more rows like these"


def test_zero_beside_tokens_is_unknown_and_a_cache_hit_is_no_call(tmp_path: Path) -> None:
    rows = ({"spend": "0.0"}, {"request_id": "r2", "spend": "0", "prompt_tokens": "0", "completion_tokens": "0"})
    whole = reading(_csv(tmp_path / "a.csv", *rows))
    assert [row["cost_nano"] for row in whole.facts] == [None, None]
    path = tmp_path / "b.jsonl"
    path.write_text(json.dumps(SPEND) + "\n" + json.dumps({**SPEND, "cache_hit": True}) + "\n", encoding="utf-8")
    assert len(reading(path).facts) == 1


def test_text_that_is_not_utf8_is_kept_with_a_problem(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", {"team_id": "Kränze"})
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xe4"))
    whole = reading(path)
    assert len(whole.facts) == 1
    assert whole.problems[0].what == "bytes that are not UTF-8"


def test_other_separators_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    text = "TIMESTAMP\tContextTokens\tGeneratedTokens\r\n2023-11-16 18:15:46.6805900\t374\t44\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [row["input_tokens"] for row in reading(path).facts] == [374]


def test_times_are_read_in_the_given_zone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-07-16 18:00:00,1,1\n", encoding="utf-8")
    row = reading(path, zone="Europe/Berlin").facts[0]
    assert row["start_ns"] == ns_of(datetime(2023, 7, 16, 16, tzinfo=UTC))
    assert row["zone_assumed"] is True


def test_a_longer_export_of_the_same_table_repeats_its_rows(tmp_path: Path) -> None:
    lines = [f"2023-11-16 18:00:0{number},{number},1" for number in (1, 2, 2, 3)]
    header = "TIMESTAMP,ContextTokens,GeneratedTokens"
    keys: list[list[bytes]] = []
    for name, rows in (("a.csv", lines[:3]), ("b.csv", lines)):
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        keys.append([row["fact_key"] for row in reading(tmp_path / name).facts])
    assert keys[1][:3] == keys[0]
    assert len(set(keys[1])) == 4


@given(rows=spend_rows())
def test_costs_and_counts_add_up_exactly(rows: list[dict[str, Any]], tmp_path_factory: Any) -> None:
    path = _csv(tmp_path_factory.mktemp("spend") / "a.csv", *rows)
    whole = reading(path)
    assert whole.refused == 0
    known = [row for row in rows if Decimal(row["spend"]) or row["prompt_tokens"] == row["completion_tokens"] == "0"]
    expected = [nano_of(row["spend"]) for row in known]
    assert sum_of(whole.facts, "cost_nano") == sum(expected)
    assert sum_of(whole.facts, "input_tokens") == sum(int(row["prompt_tokens"]) for row in rows)


# ---- mappings of one's own --------------------------------------------------------------------------------------

OWN = """
name = "crm"
[read]
records = "data.runs"
path = '(?P<customer>[^/]+)/runs\\.json$'
[time]
unit = "ms"
duration_unit = "ms"
[identity]
columns = ["path.customer", "run"]
[fact]
operation = { column = "kind", values = { search = "retrieval" }, otherwise = "chat" }
start = "at"
duration = "took"
customer = "path.customer"
feature = { template = "{kind}-{detail.name}" }
model_served = ["answered", "asked"]
cost = "price"
[fact.units]
searches = "searched"
[outcome]
task_id = "run"
status = "state"
at = "at"
value = "worth"
[status]
done = ["won"]
failed = ["lost"]
[tags]
place = "detail.place"
"""


def _own(folder: Path, *runs: dict[str, Any], mapping: str = OWN) -> Reading:
    place = folder / "acme"
    place.mkdir(exist_ok=True)
    (place / "runs.json").write_text(json.dumps({"data": {"runs": list(runs)}}), encoding="utf-8")
    (folder / "own.toml").write_text(mapping, encoding="utf-8")
    return reading(place / "runs.json", mapping=folder / "own.toml")


RUN = {"run": "7", "kind": "search", "at": 1767225600123, "took": 250, "asked": "m", "price": 0.25, "searched": 2}


def test_a_mapping_of_ones_own_says_everything(tmp_path: Path) -> None:
    run = {**RUN, "detail": {"name": "x", "place": "north"}, "state": "won", "worth": "12.5"}
    whole = _own(tmp_path, run, {**RUN, "run": "8", "kind": None, "answered": "n", "state": "?"})
    first, second = whole.facts
    assert (first["operation"], first["customer"], first["feature"], first["model_served"]) == (
        *("retrieval", "acme", "search-x", "m"),
    )
    assert (first["start_ns"], first["end_ns"] - first["start_ns"]) == (1767225600123 * 10**6, 250 * 10**6)
    assert (first["cost_nano"], first["units"]) == (250_000_000, [{"meter": "searches", "quantity": 2}])
    assert first["tags"] == [("place", "north")]
    assert (second["operation"], second["model_served"], second["tags"]) == ("chat", "n", [])
    assert [(row["task_id"], row["status"], row["value_nano"]) for row in whole.outcomes] == [
        ("7", "done", 12_500_000_000),
        ("8", "unknown", None),
    ]


def test_a_mapping_that_names_what_does_not_exist_says_so(tmp_path: Path) -> None:
    for old, new, said in (
        ("model_served", "model_serveed", 'has no "model_serveed"'),
        ("searches =", "serches =", 'has no "serches"'),
        ('unit = "ms"', 'unit = "minutes"', "[time] unit cannot be"),
        ('"retrieval"', '"retrieving"', 'operation cannot be "retrieving"'),
        ("[tags]", "[tag]", 'has no "tag"'),
        ('"data.runs"', '"data.runs', "is not TOML"),
        ("(?P<customer>", "(?P<customer", "no regular expression"),
    ):
        with pytest.raises(FormatError, match=re.escape(said)):
            _own(tmp_path, RUN, mapping=OWN.replace(old, new, 1))
    with pytest.raises(FormatError, match="maps nothing"):
        _own(tmp_path, RUN, mapping='name = "x"')
    with pytest.raises(FormatError, match="cannot be read"):
        reading(tmp_path / "acme" / "runs.json", mapping=tmp_path / "nowhere.toml")


def test_a_table_that_no_mapping_knows_is_told_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("colour,shape\nred,round\n", encoding="utf-8")
    with pytest.raises(FormatError, match="colour, shape") as caught:
        reading(path, format="table")
    assert any(line.startswith("litellm_spend_logs: request_id") for line in caught.value.detail)


def test_rows_without_a_time_take_that_of_the_file(tmp_path: Path) -> None:
    mapping = OWN.replace('start = "at"\nduration = "took"\n', "").replace('at = "at"\n', "")
    whole = _own(tmp_path, RUN, mapping=mapping)
    assert whole.facts[0]["start_ns"] == (tmp_path / "acme" / "runs.json").stat().st_mtime_ns
    assert [problem.what for problem in whole.problems] == ["the rows carry no time"]
