"""Alerts: the channels they go to, what was told, each attempt to tell it, and the actions that follow from money."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes the tables, and lets a balance remember that it refused something."""
    op.add_column("balances", sa.Column("refused", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("balances", sa.Column("refused_ns", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("balances", sa.Column("refused_what", sa.Text, nullable=False, server_default=""))
    op.create_index("balances_by_refusal", "balances", ["refused_ns"])
    _alerts()
    _actions()


def _alerts() -> None:
    op.create_table(
        "channels",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("changed_ns", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("series", sa.Text, nullable=False),
        sa.Column("level", sa.BigInteger, nullable=False),
        sa.Column("budget", sa.Text, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger, nullable=False),
        sa.Column("fired_ns", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("alerts_of_series", "alerts", ["series", "level"])
    op.create_index("alerts_by_time", "alerts", ["fired_ns"])
    op.create_table(
        "deliveries",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("message_id", sa.BigInteger, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("ok", sa.Integer, nullable=False),
        sa.Column("took_ms", sa.BigInteger, nullable=False),
        sa.Column("said", sa.Text, nullable=False),
    )
    op.create_index("deliveries_of_message", "deliveries", ["message_id"])
    op.create_index("deliveries_by_time", "deliveries", ["at_ns"])


def _actions() -> None:
    op.create_table(
        "actions",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("budget_id", sa.BigInteger, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("percent", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("until_ns", sa.BigInteger, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("decided_ns", sa.BigInteger),
        sa.Column("stop_id", sa.BigInteger),
        sa.Column("reversed_by", sa.Text, nullable=False, server_default=""),
        sa.Column("reversed_ns", sa.BigInteger),
    )
    op.create_index("actions_by_state", "actions", ["state", "until_ns"])
    op.create_index("actions_of_budget", "actions", ["budget_id", "part"])
