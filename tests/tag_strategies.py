"""What tag policies may say, and facts that break them: strategies beside those of `strategies.py`."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.strategies import fact_rows

from outlay.normalize.policy.model import Rule

_KEY_TABLES = (
    '[keys.team]\nrequired = true\ncase = "lower"\naliases = { "search team" = "search" }\nspellings = ["squad"]\n',
    '[keys.team]\nallowed = ["search", "support"]\ninvalid = "fold"\ncase = "lower"\n',
    '[keys.team]\nallowed = ["search"]\nmode = "reject"\naliases = { "Support" = "search" }\n',
    '[keys.feature]\npattern = "[a-z]{3,4}"\n\n[keys."tag.zone"]\nallowed = ["eu"]\nspellings = ["region"]\n',
)
_RULE_TABLES = (
    '[[rule]]\nname = "bots"\nmatch = { agent = "b*" }\nset = { team = "robots", feature = "chat" }\n',
    '[[rule]]\nname = "ones"\nmatch = { service = "one", model = ["gpt-*", "in-*"] }\nset = { team = "ones" }\n',
    '[[rule]]\nname = "loud"\nmatch = { service = "two" }\nset = { team = "search" }\noverride = true\n',
    '[[rule]]\nname = "runs"\nmatch = { session = "session *" }\nset = { customer = "acme", team = "support" }\n',
    '[[rule]]\nname = "later"\nfrom = 2026-10-27\nmatch = { source = "test" }\nset = { team = "support" }\n',
)
_REST_TABLES = (
    '[[require]]\nkeys = ["team", "feature", "tag.zone"]\nsource = "ot*"\n',
    '[[require]]\nkeys = ["agent"]\nenvironment = "prod*"\n',
    '[tags]\nunknown = "drop"\n',
)


@st.composite
def policy_texts(draw: st.DrawFn, *, rejects: bool = True) -> bytes:
    """Valid tag policies: aliases, folding, spellings, restrictions, requirements, and rules of both kinds, dated ones
    included. Without `rejects` no fact is refused for its tags."""
    usable = [text for text in _KEY_TABLES if rejects or "reject" not in text]
    keys = [draw(st.sampled_from(["", *usable[:-1]])), draw(st.sampled_from(["", usable[-1]]))]
    rules = draw(st.lists(st.sampled_from(_RULE_TABLES), unique=True))
    rest = draw(st.lists(st.sampled_from(_REST_TABLES), unique=True))
    text = "\n".join([*keys, *rules, *rest])
    if 'allowed = ["search", "support"]' in text or 'allowed = ["search"]' in text:
        text = text.replace('"robots"', '"search"').replace('"ones" }', '"search" }')
    return (
        text if 'allowed = ["search"]\n' not in text else text.replace('team = "support"', 'team = "search"')
    ).encode()


@st.composite
def tagged_fact_rows(draw: st.DrawFn) -> list[dict[str, object]]:
    """`fact_rows` with teams in several spellings, free tags, environments, and some facts that belong to nothing."""
    rows = draw(fact_rows(facts_max=10))
    by_fact: dict[object, dict[str, object]] = {}
    for row in rows:
        said = by_fact.setdefault(
            row["fact_id"],
            {
                "team": draw(st.sampled_from([None, None, "search", "Search Team", "SUPPORT", "Support", "typo"])),
                "environment": draw(st.sampled_from([None, "production"])),
                "tags": draw(
                    st.sampled_from([None, [("squad", "support")], [("region", "eu"), ("x", "1")], [("zone", "us")]])
                ),
            },
        )
        row.update(said)
    return rows


RULE_WORDS = {"agent": "agent", "service": "origin", "model": "model"}
"""What `rules` look at, and the columns it stands in."""


def rules(moments: int) -> st.SearchStrategy[Rule]:
    """Rules over RULE_WORDS with values of `a` and `b`, some of them dated by moments below `moments`."""
    globs = st.sampled_from([("a",), ("a*",), ("*",), ("b", "ab")])
    moment = st.none() | st.integers(0, moments - 1)
    return st.builds(
        Rule,
        st.just("rule"),
        st.dictionaries(st.sampled_from(sorted(RULE_WORDS)), globs, min_size=1),
        st.dictionaries(st.sampled_from(["team", "feature"]), st.just("x"), min_size=1),
        from_us=moment,
        to_us=moment,
    )
