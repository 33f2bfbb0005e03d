"""Policies as they are stored: one document a name, every change with its line in the audit log."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import delete, insert, select, update

from outlay.control import audit
from outlay.control.store import ControlStore
from outlay.control.tables import policies


def policy_of(store: ControlStore, name: str) -> Any:
    """What is in force under that name; None where nothing was ever said."""
    with store.reading() as connection:
        content = connection.execute(select(policies.c.content).where(policies.c.name == name)).scalar()
    return None if content is None else json.loads(content)


def set_policy(store: ControlStore, name: str, content: Any, actor: str) -> bool:
    """Puts a document into force, None to go back to the default; False where nothing was different."""
    written = json.dumps(content, sort_keys=True, ensure_ascii=False)
    with store.writing() as connection:
        held = connection.execute(select(policies.c.content).where(policies.c.name == name).with_for_update()).scalar()
        if held == written or (held is None and content is None):
            return False
        values = {"content": written, "changed_ns": time.time_ns(), "changed_by": actor}
        if content is None:
            connection.execute(delete(policies).where(policies.c.name == name))
        elif held is None:
            connection.execute(insert(policies).values(name=name, **values))
        else:
            connection.execute(update(policies).where(policies.c.name == name).values(**values))
        before = None if held is None else json.loads(held)
        audit.append(connection, actor, "policy.set", f"policy:{name}", before=before, after=content)
    return True
