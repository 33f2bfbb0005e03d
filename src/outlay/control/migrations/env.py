"""What Alembic runs to migrate: the steps, in the transaction that `ControlStore` has opened."""

from __future__ import annotations

from alembic import context

from outlay.control.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
