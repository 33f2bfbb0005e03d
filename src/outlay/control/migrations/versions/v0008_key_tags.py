"""Tags of keys: what a key says of facts that do not say it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds the column; keys that are there say nothing."""
    op.add_column("api_keys", sa.Column("tags", sa.Text, nullable=False, server_default=sa.text("'{}'")))
