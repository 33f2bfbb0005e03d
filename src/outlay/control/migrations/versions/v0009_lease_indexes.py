"""Indexes of leases that hold what is looked for and nothing else: each decision writes into them.

The one by expiry had every lease that was ever given, and moved each when it was over; the one by close had those that
were not over yet.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Makes them anew."""
    live, over = sa.text("state = 'live'"), sa.text("closed_ns IS NOT NULL")
    op.drop_index("leases_by_expiry", "leases")
    op.drop_index("leases_by_close", "leases")
    op.create_index("leases_by_expiry", "leases", ["expires_ns"], sqlite_where=live, postgresql_where=live)
    op.create_index("leases_by_close", "leases", ["closed_ns"], sqlite_where=over, postgresql_where=over)
