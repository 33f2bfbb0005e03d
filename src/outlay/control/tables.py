"""The tables of the control store, the same on SQLite and PostgreSQL.

Moments are UTC epoch nanoseconds (`_ns`), amounts whole nano-units (`_nano`), both in 64-bit integers. A change here
goes with a migration in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, text

HEAD = "0001"
"""The newest migration: what `alembic_version` says when the tables are up to date."""

METADATA = MetaData()

ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts rows by itself only in a plain INTEGER

api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),  # words with commas: write,read,decide,admin
    Column("teams", Text, nullable=False),  # a JSON list; an empty one means every team
    Column("created_ns", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_ns", BigInteger),
    Column("revoked_ns", BigInteger),
    Column("used_ns", BigInteger),
    Index(
        "api_keys_live_name",
        "name",
        unique=True,
        sqlite_where=text("revoked_ns IS NULL"),
        postgresql_where=text("revoked_ns IS NULL"),
    ),
)

audit_log = Table(
    "audit_log",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),  # key.add, price.override, budget.set, …
    Column("subject", Text, nullable=False),  # what was changed
    Column("before", Text, nullable=False),  # canonical JSON, null where there was nothing
    Column("after", Text, nullable=False),  # canonical JSON, null where nothing is left
    Column("hash", Text, nullable=False),  # SHA-256 over the line and the hash of the one before
)

audit_head = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, 1: whoever writes a line locks it
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)
