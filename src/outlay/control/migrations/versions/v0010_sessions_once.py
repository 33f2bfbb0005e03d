"""The index by session holds the first lease of each session: it tells when the session began, and no later one does.

Leases that were given before go on naming their sessions, which says the same.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Makes it anew."""
    named = sa.text("session <> ''")
    op.drop_index("leases_by_session", "leases")
    op.create_index(
        "leases_by_session", "leases", ["session", "created_ns"], sqlite_where=named, postgresql_where=named
    )
