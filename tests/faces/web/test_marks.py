"""Marks escape what fills them, as the templates do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from outlay.faces.web.marks import filled, joined

HTML = '<a href="{}" title="{}">{}</a>'
texts = st.text() | st.sampled_from(["<script>", "{0}", "{}", "a & b", "'\"", "\N{PILE OF POO}"])


@given(texts, texts | st.integers() | st.floats(allow_nan=False), texts)
def test_what_fills_a_mark_is_escaped_and_a_mark_in_it_is_not(one: str, other: object, last: str) -> None:
    inner = Markup("<b>{}</b>").format(last)
    assert filled(HTML, one, other, inner) == Markup(HTML).format(one, other, inner)
    assert isinstance(filled(HTML, one, other, inner), Markup)


@given(st.lists(texts | texts.map(Markup)))
def test_marks_are_joined_and_texts_among_them_escaped(parts: list[str]) -> None:
    assert joined(parts) == Markup("").join(parts)
