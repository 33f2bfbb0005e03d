"""The tables of the control store, the same on SQLite and PostgreSQL.

Moments are UTC epoch nanoseconds (`_ns`), amounts whole nano-units (`_nano`), both in 64-bit integers. A change here
goes with a migration in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, text

HEAD = "0010"
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
    Column("tags", Text, nullable=False, server_default=text("'{}'")),  # a JSON object: tags of what names none
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

sign_ins = Table(
    "sign_ins",
    METADATA,
    Column("sha256", Text, primary_key=True),  # of the secret in the browser's cookie
    Column("key_sha256", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
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

counters = Table(
    "counters",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

budgets = Table(
    "budgets",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),  # JSON: envelope key → value, or * for one balance a value
    Column("period", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("start_month", Integer, nullable=False),
    Column("start_day", Integer, nullable=False),
    Column("week_start", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("fail", Text, nullable=False),
    Column("unpriced", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("rollover_percent", Integer, nullable=False),
    Column("carry_overage", Integer, nullable=False),
    Column("reserve_percent", Integer, nullable=False),
    Column("caps", Text, nullable=False),  # JSON: steps, tool_calls, seconds, depth, width
    Column("ladder", Text, nullable=False),  # JSON: model → cheaper model
    Column("owner", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("removed_ns", BigInteger),
    Index(
        "budgets_live_name",
        "name",
        unique=True,
        sqlite_where=text("removed_ns IS NULL"),
        postgresql_where=text("removed_ns IS NULL"),
    ),
)

grants = Table(
    "grants",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("budget_id", BigInteger, nullable=False),
    Column("part", Text, nullable=False),  # one balance of an `each` budget; empty for all
    Column("kind", Text, nullable=False),  # allocation (every window), plan (one window), transfer, override
    Column("amount_nano", BigInteger, nullable=False),
    Column("starts_ns", BigInteger, nullable=False),
    Column("ends_ns", BigInteger, nullable=False),  # the only thing that may change, and only to end it sooner
    Column("priority", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Index("grants_of_budget", "budget_id", "ends_ns"),
)

balances = Table(
    "balances",
    METADATA,
    Column("key", Text, primary_key=True),  # budget:start:part
    Column("budget_id", BigInteger, nullable=False),
    Column("part", Text, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("limit_nano", BigInteger, nullable=False, server_default="0"),
    Column("limit_version", BigInteger, nullable=False),  # of the budgets for which the limit was worked out
    Column("limit_until_ns", BigInteger, nullable=False, server_default="0"),
    Column("carried_nano", BigInteger, nullable=False, server_default="0"),
    Column("spent_nano", BigInteger, nullable=False, server_default="0"),
    Column("held_nano", BigInteger, nullable=False, server_default="0"),
    Column("presumed_nano", BigInteger, nullable=False, server_default="0"),
    Column("steps", BigInteger, nullable=False, server_default="0"),
    Column("tool_calls", BigInteger, nullable=False, server_default="0"),
    Column("width", BigInteger, nullable=False, server_default="0"),
    Column("trued_ns", BigInteger, nullable=False, server_default="0"),  # through when the books were looked at
    Column("refused", BigInteger, nullable=False, server_default="0"),  # asks it refused
    Column("refused_ns", BigInteger, nullable=False, server_default="0"),  # the latest of them
    Column("refused_what", Text, nullable=False, server_default=""),  # and what was used up: usd, steps, …
    Column("beyond_nano", BigInteger, nullable=False, server_default="0"),  # billed beyond what was held for it
    Index("balances_of_budget", "budget_id", "start_ns"),
    Index("balances_by_refusal", "refused_ns"),
)

burns = Table(
    "burns",
    METADATA,
    Column("balance", Text, primary_key=True),
    Column("grant_id", BigInteger, primary_key=True, autoincrement=False),
    Column("burned_nano", BigInteger, nullable=False),
)

LIVE = text("state = 'live'")
"""As text, not with a parameter: only so does SQLite see that the index by expiry holds what is asked for."""

_OVER = text("closed_ns IS NOT NULL")
_NAMED = text("session <> ''")

leases = Table(
    "leases",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("parent", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("state", Text, nullable=False),  # live, settled, returned, expired
    Column("envelope", Text, nullable=False),
    Column("balances", Text, nullable=False),  # JSON: the keys it holds money of
    Column("asked_nano", BigInteger),  # NULL where nobody knows the price
    Column("held_nano", BigInteger, nullable=False),
    Column("lent_nano", BigInteger, nullable=False, server_default="0"),  # of it, to sub-agents
    Column("settled_nano", BigInteger, nullable=False, server_default="0"),
    Column("presumed_nano", BigInteger, nullable=False, server_default="0"),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("closed_ns", BigInteger),
    Column("own", Text, nullable=False, server_default="[]"),  # JSON: of the keys those its parent holds no money of
    Column("session", Text, nullable=False, server_default=""),  # of its first lease only
    Column("kind", Text, nullable=False, server_default=""),  # of samples, to learn from its settling
    Column("max_tokens", BigInteger),  # the ceiling it was clamped to
    Column("model", Text, nullable=False, server_default=""),  # that took the place of the one asked for
    Column("chunk", Integer, nullable=False, server_default="0"),  # 1: for several calls
    Column("call_nano", BigInteger, nullable=False, server_default="0"),  # what one of them may hold
    Index("leases_by_expiry", "expires_ns", sqlite_where=LIVE, postgresql_where=LIVE),
    Index("leases_by_close", "closed_ns", sqlite_where=_OVER, postgresql_where=_OVER),
    Index("leases_by_session", "session", "created_ns", sqlite_where=_NAMED, postgresql_where=_NAMED),
)

samples = Table(
    "samples",
    METADATA,
    Column("kind", Text, primary_key=True),  # JSON: feature, model, step
    Column("amounts", Text, nullable=False),  # JSON: the last hundred amounts, newest last
    Column("usual_nano", BigInteger, nullable=False),  # their 95th percentile
    Column("least_nano", BigInteger, nullable=False),
    Column("kept", Integer, nullable=False),
    Column("learned_ns", BigInteger, nullable=False),
    Index("samples_by_age", "learned_ns"),
)

rates = Table(
    "rates",
    METADATA,
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),  # lower case; a glob where is_glob is 1
    Column("is_glob", Integer, nullable=False),
    Column("input_nano_per_mtok", BigInteger, nullable=False),
    Column("dearest_input_nano_per_mtok", BigInteger, nullable=False),
    Column("output_nano_per_mtok", BigInteger, nullable=False),
    Column("call_nano", BigInteger, nullable=False),
    Column("long_from_tokens", BigInteger, nullable=False),
    Column("long_input_nano_per_mtok", BigInteger, nullable=False),
    Column("long_output_nano_per_mtok", BigInteger, nullable=False),
    Column("version", Text, nullable=False),  # of the price book, and the day
    Index("rates_by_glob", "is_glob"),
)

stops = Table(
    "stops",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("scope", Text, nullable=False),  # JSON: envelope key → value; session among them
    Column("level", Text, nullable=False),  # warn, cheaper, no_agents, no_sessions, stop
    Column("reason", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    Column("lifted_ns", BigInteger),
    Column("lifted_by", Text),
    Index("stops_by_lift", "lifted_ns"),
)

overrides = Table(
    "overrides",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("budget_id", BigInteger, nullable=False),
    Column("part", Text, nullable=False),
    Column("amount_nano", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_ns", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # pending, approved, denied, expired
    Column("decided_by", Text),
    Column("decided_ns", BigInteger),
    Column("approved_nano", BigInteger),
    Column("grant_id", BigInteger),
    Index("overrides_by_state", "state", "until_ns"),
)

outbox = Table(
    "outbox",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("dedupe_key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False),  # waiting, sent, dead
    Column("last_error", Text, nullable=False, server_default=""),
    Column("sent_ns", BigInteger),
    Index("outbox_by_due", "state", "due_ns"),
)

policies = Table(
    "policies",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("content", Text, nullable=False),  # canonical JSON
    Column("changed_ns", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)

channels = Table(
    "channels",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # slack, webhook, email, pagerduty
    Column("settings", Text, nullable=False),  # JSON; nothing secret
    Column("secret", Text, nullable=False),  # of its kind: an address, a key or a password, or where one is found
    Column("changed_ns", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)

alerts = Table(
    "alerts",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),  # series:level, so that nothing is told twice
    Column("series", Text, nullable=False),  # budget:window:part:kind:grant version
    Column("level", BigInteger, nullable=False),  # the threshold that was passed, in the series' own unit
    Column("budget", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("fired_ns", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("content", Text, nullable=False),  # JSON: the message, without the channels it went to
    Column("note", Text, nullable=False),  # why it went elsewhere than its owner would expect
    Index("alerts_of_series", "series", "level"),
    Index("alerts_by_time", "fired_ns"),
)

deliveries = Table(
    "deliveries",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("message_id", BigInteger, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("ok", Integer, nullable=False),
    Column("took_ms", BigInteger, nullable=False),
    Column("said", Text, nullable=False),  # what the other side answered, or why there is no answer
    Index("deliveries_of_message", "message_id"),
    Index("deliveries_by_time", "at_ns"),
)

actions = Table(
    "actions",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),  # series:level, as of alerts
    Column("budget_id", BigInteger, nullable=False),
    Column("part", Text, nullable=False),
    Column("scope", Text, nullable=False),  # JSON: the envelope keys it holds for
    Column("level", Text, nullable=False),  # warn, cheaper, no_agents, no_sessions, stop
    Column("percent", Integer, nullable=False),  # of the limit: where it begins, and where it ends when money comes
    Column("state", Text, nullable=False),  # pending, in force, denied, expired, reversed
    Column("reason", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    Column("decided_by", Text, nullable=False),  # policy where nobody had to be asked
    Column("decided_ns", BigInteger),
    Column("stop_id", BigInteger),
    Column("reversed_by", Text, nullable=False, server_default=""),
    Column("reversed_ns", BigInteger),
    Index("actions_by_state", "state", "until_ns"),
    Index("actions_of_budget", "budget_id", "part"),
)

targets = Table(
    "targets",
    METADATA,
    Column("feature", Text, primary_key=True),
    Column("quarter", Text, primary_key=True),  # 2026-Q4
    Column("amount_nano", BigInteger, nullable=False),  # for one completed task
    Column("currency", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("decision", Text, nullable=False, server_default=""),  # of the retrospective
    Column("decided_ns", BigInteger),
    Column("decided_by", Text),
)
