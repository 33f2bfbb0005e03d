"""Budgets with their grants, balances and leases; requests for exceptions; messages that wait to be sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LIVE = sa.text("removed_ns IS NULL")


def upgrade() -> None:
    """Makes the tables."""
    _budgets()
    _leases()
    _requests()


def _budgets() -> None:
    counter = op.create_table(
        "counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counter, [{"name": "budgets", "number": 0}])
    op.create_table(
        "budgets",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("start_month", sa.Integer, nullable=False),
        sa.Column("start_day", sa.Integer, nullable=False),
        sa.Column("week_start", sa.Integer, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("fail", sa.Text, nullable=False),
        sa.Column("unpriced", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("rollover_percent", sa.Integer, nullable=False),
        sa.Column("carry_overage", sa.Integer, nullable=False),
        sa.Column("reserve_percent", sa.Integer, nullable=False),
        sa.Column("caps", sa.Text, nullable=False),
        sa.Column("ladder", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("removed_ns", sa.BigInteger),
    )
    op.create_index("budgets_live_name", "budgets", ["name"], unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)
    op.create_table(
        "grants",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("budget_id", sa.BigInteger, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount_nano", sa.BigInteger, nullable=False),
        sa.Column("starts_ns", sa.BigInteger, nullable=False),
        sa.Column("ends_ns", sa.BigInteger, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("granted_by", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("grants_of_budget", "grants", ["budget_id", "ends_ns"])


def _leases() -> None:
    op.create_table(
        "balances",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("budget_id", sa.BigInteger, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger, nullable=False),
        sa.Column("opened_ns", sa.BigInteger, nullable=False),
        sa.Column("limit_nano", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("limit_version", sa.BigInteger, nullable=False),
        sa.Column("limit_until_ns", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("carried_nano", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("spent_nano", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("held_nano", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("presumed_nano", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("steps", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("tool_calls", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("width", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("trued_ns", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index("balances_of_budget", "balances", ["budget_id", "start_ns"])
    op.create_table(
        "burns",
        sa.Column("balance", sa.Text, primary_key=True),
        sa.Column("grant_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("burned_nano", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("envelope", sa.Text, nullable=False),
        sa.Column("balances", sa.Text, nullable=False),
        sa.Column("asked_nano", sa.BigInteger),
        sa.Column("held_nano", sa.BigInteger, nullable=False),
        sa.Column("lent_nano", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("settled_nano", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("presumed_nano", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
        sa.Column("closed_ns", sa.BigInteger),
    )
    op.create_index("leases_by_expiry", "leases", ["state", "expires_ns"])
    op.create_index("leases_by_close", "leases", ["closed_ns"])


def _requests() -> None:
    op.create_table(
        "overrides",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("budget_id", sa.BigInteger, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("amount_nano", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until_ns", sa.BigInteger, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_ns", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_ns", sa.BigInteger),
        sa.Column("approved_nano", sa.BigInteger),
        sa.Column("grant_id", sa.BigInteger),
    )
    op.create_index("overrides_by_state", "overrides", ["state", "until_ns"])
    op.create_table(
        "outbox",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("due_ns", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("last_error", sa.Text, nullable=False, server_default=""),
        sa.Column("sent_ns", sa.BigInteger),
    )
    op.create_index("outbox_by_due", "outbox", ["state", "due_ns"])
