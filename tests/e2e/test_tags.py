"""The tag policy in a home: edited files, crashes between the two steps of an adoption, old books, many values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tagging import POLICY, troubled_facts, troubled_home

from normalizing import NOON_NS, facts
from otlp_wire import request, span
from outlay.core.errors import InputError
from outlay.core.tagging import TagSource, sources_of
from outlay.house import House
from outlay.ledger import labels
from outlay.metrics.query import parse_query
from outlay.normalize.policy.shelf import PolicyShelf
from outlay.normalize.writers import Sender
from outlay.sources.facts import OUTCOMES, Batch


def teams(house: House) -> list[str]:
    return house.books.rows("SELECT DISTINCT team FROM usages ORDER BY team").column("team").to_pylist()


def test_an_edited_file_is_adopted_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "tags.toml").write_text(POLICY, encoding="utf-8")
    troubled_home(tmp_path)
    with House(tmp_path) as house:
        assert teams(house) == ["(untagged)", "search", "serch", "support"]
        (first,) = house.policies.timeline.adopted
        assert (first.from_us, first.to_us, first.by) == (None, None, "server")
    (tmp_path / "tags.toml").write_text(POLICY.replace('"search team"', '"serch"'), encoding="utf-8")
    with House(tmp_path) as house:
        assert len(house.policies.timeline.adopted) == 2
        assert house.policies.timeline.adopted[1].from_us is not None
        assert "serch" in teams(house), "an edit holds from now on"
    with House(tmp_path) as house:
        assert len(house.policies.timeline.adopted) == 2, "an unchanged file is not adopted again"


def test_a_file_with_a_mistake_is_told_and_the_policy_in_force_stays(tmp_path: Path) -> None:
    (tmp_path / "tags.toml").write_text(POLICY, encoding="utf-8")
    troubled_home(tmp_path)
    (tmp_path / "tags.toml").write_text("[keys.tean]\n", encoding="utf-8")
    with House(tmp_path) as house:
        assert house.policies.timeline.current.keys["team"].allowed == {"search", "support"}
        (check,) = [check for check in house.doctor() if check.name == "tag policy"]
        assert not check.ok
        assert check.text == 'tags.toml is not in force: tags.toml:1: "tean" is no key'
        (finding, *_) = house.tag_findings(parse_query({"measures": ["cost"]}))
        assert finding.kind == "policy file"
        with pytest.raises(InputError, match="1 problem"):
            house.adopt_policy(b"[keys.tean]", None, None, "test")


def test_an_adoption_that_a_crash_cut_off_is_finished_at_the_next_start(tmp_path: Path) -> None:
    troubled_home(tmp_path)
    PolicyShelf(tmp_path).adopt(POLICY.encode(), NOON_NS, None, None, "test")  # durable; the books know nothing of it
    with House(tmp_path) as house:
        assert "Search Team" not in teams(house)
        assert house.books.meta("policy_applied") == 1
        assert house.rebuild().matches


def test_a_torn_line_of_the_history_never_counted(tmp_path: Path) -> None:
    troubled_home(tmp_path)
    shelf = PolicyShelf(tmp_path)
    shelf.adopt(POLICY.encode(), NOON_NS, None, None, "test")
    with shelf.history.open("a", encoding="utf-8") as file:
        file.write('{"number": 2, "at_')
    assert len(PolicyShelf(tmp_path).timeline.adopted) == 1
    with shelf.history.open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(InputError, match="line 2 is damaged"):
        PolicyShelf(tmp_path)


def test_books_of_the_version_before_go_on(tmp_path: Path) -> None:
    troubled_home(tmp_path)
    with House(tmp_path) as house:
        every = "SELECT fact_key, team, tag_source, tag_gaps, inherited FROM usages ORDER BY fact_key"
        before = house.books.rows(every).to_pylist()
        assert TagSource.PARENT in {sources_of(row["tag_source"]).get("team") for row in before}
        with house.books.writing() as connection:
            connection.execute("DROP VIEW usages")
            for name in ("tag_source", "tag_gaps", "said"):
                connection.execute(f"ALTER TABLE usage_rows DROP COLUMN {name}")
            for name in ("tag_rule", "scope", "api_key"):
                connection.execute(f"ALTER TABLE labels DROP COLUMN {name}")
            connection.execute("ALTER TABLE outcomes DROP COLUMN said")
            connection.execute("UPDATE meta SET value = 2 WHERE name = 'schema_version'")
        house.books.checkpoint()
        house.books._connection.close()
        house.books.reopen()
        rows = house.books.rows("SELECT team, tag_source, tag_gaps FROM usages ORDER BY team, time").to_pylist()
        own = [row for row in rows if row["team"] == "support"]
        assert [sources_of(row["tag_source"])["team"] for row in own] == [TagSource.OWN]
        assert {row["tag_gaps"] for row in rows if row["team"] == "(untagged)"} == {1}
        house.intake.settle()
        assert house.books.rows(every).to_pylist() == before, "what was inherited is settled again, and says from whom"
        assert all(check.ok for check in house.doctor() if check.name in ("sums", "lines", "rollups", "counters"))
        table = troubled_facts()
        report = house.post_facts(Batch(table, OUTCOMES.empty_table(), received=table.num_rows))
        assert report.duplicates == table.num_rows


def test_many_made_up_teams_keep_their_names_and_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "REMEMBERED_MAX", 500)
    with House(tmp_path) as house:
        for part in range(4):
            rows = [
                {"fact_id": f"{part} {number}", "team": f"team {number % 2_000}", "cost_nano": 1, "currency": "USD"}
                for number in range(part * 700, part * 700 + 1_300)
            ]
            table = facts(*rows)
            house.post_facts(Batch(table, OUTCOMES.empty_table(), received=table.num_rows))
        assert house.books._labels is not None
        assert len(house.books._labels.numbers) <= 500 + 1_300
        assert house.books.scalar("SELECT count(*) - count(DISTINCT key) FROM labels") == 0
        assert house.books.scalar("SELECT count(DISTINCT team) FROM usages") == 2_000
        assert house.books.scalar("SELECT sum(amount_nano) FROM usages") == 4 * 1_300
        found = house.tag_findings(parse_query({"measures": ["cost"]}))
        assert [(item.kind, item.count) for item in found] == [("too many values", 2_000)]
        assert house.rebuild().matches


def test_the_history_is_whole_without_the_file(tmp_path: Path) -> None:
    troubled_home(tmp_path)
    with House(tmp_path) as house:
        house.adopt_policy(POLICY.encode(), None, None, "test")
    (tmp_path / "tags.toml").unlink()
    with House(tmp_path) as house:
        said = json.loads((tmp_path / "tags.history.jsonl").read_text(encoding="utf-8").splitlines()[0])
        assert said["policy"] == POLICY
        assert house.rebuild().matches


def test_what_a_key_says_is_in_the_books_with_its_name_and_wins_over_relatives(tmp_path: Path) -> None:
    spans = [span(1, {"outlay.team": "search", "gen_ai.operation.name": "chat"}), span(2, parent=1), span(3)]
    body = request(spans, {"service.name": "bot"}).SerializeToString()
    with House(tmp_path) as house:
        sender = Sender("ci-nightly", tags={"team": "platform", "feature": "build"})
        assert house.intake.submit(body, "protobuf", sender=sender).result().refused == 0
        house.intake.settle()
        rows = house.books.rows("SELECT team, feature, api_key, tag_source FROM usages ORDER BY time").to_pylist()
        assert [(row["team"], row["feature"], row["api_key"]) for row in rows] == [
            ("search", "build", "ci-nightly"),
            ("platform", "build", "ci-nightly"),
            ("platform", "build", "ci-nightly"),
        ]
        assert sources_of(rows[0]["tag_source"])["team"] is TagSource.OWN
        assert sources_of(rows[1]["tag_source"])["team"] is TagSource.API_KEY
        assert house.rebuild().matches
