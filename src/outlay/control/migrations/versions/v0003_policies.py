"""Policies: rules of the company that all its servers share, one document a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "policies",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("changed_ns", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
    )
