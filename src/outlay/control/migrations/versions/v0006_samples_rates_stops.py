"""Samples of what calls cost, the rates of now, stops, and what leases and balances need beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes the tables and the columns."""
    _columns()
    op.create_table(
        "samples",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("amounts", sa.Text, nullable=False),
        sa.Column("usual_nano", sa.BigInteger, nullable=False),
        sa.Column("least_nano", sa.BigInteger, nullable=False),
        sa.Column("kept", sa.Integer, nullable=False),
        sa.Column("learned_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("samples_by_age", "samples", ["learned_ns"])
    op.create_table(
        "rates",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("is_glob", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _RATES),
        sa.Column("version", sa.Text, nullable=False),
    )
    op.create_index("rates_by_glob", "rates", ["is_glob"])
    op.create_table(
        "stops",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("set_ns", sa.BigInteger, nullable=False),
        sa.Column("until_ns", sa.BigInteger, nullable=False),
        sa.Column("lifted_ns", sa.BigInteger),
        sa.Column("lifted_by", sa.Text),
    )
    op.create_index("stops_by_lift", "stops", ["lifted_ns"])
    op.execute("INSERT INTO counters (name, number) VALUES ('controls', 0), ('rates', 0)")


_RATES = (
    "input_nano_per_mtok",
    "dearest_input_nano_per_mtok",
    "output_nano_per_mtok",
    "call_nano",
    "long_from_tokens",
    "long_input_nano_per_mtok",
    "long_output_nano_per_mtok",
)


def _columns() -> None:
    op.add_column("balances", sa.Column("beyond_nano", sa.BigInteger, nullable=False, server_default="0"))
    for column in (
        sa.Column("own", sa.Text, nullable=False, server_default="[]"),
        sa.Column("session", sa.Text, nullable=False, server_default=""),
        sa.Column("kind", sa.Text, nullable=False, server_default=""),
        sa.Column("max_tokens", sa.BigInteger),
        sa.Column("model", sa.Text, nullable=False, server_default=""),
        sa.Column("chunk", sa.Integer, nullable=False, server_default="0"),
        sa.Column("call_nano", sa.BigInteger, nullable=False, server_default="0"),
    ):
        op.add_column("leases", column)
    op.execute("UPDATE leases SET own = balances WHERE parent = ''")
    op.create_index("leases_by_session", "leases", ["session", "created_ns"])
