"""OpenTelemetry beside the SDK: its spans carry the tags, and Outlay's steps stand in its traces.

Nothing here is imported or needed where OpenTelemetry is not. Outlay's own steps are recorded whatever the sampler
says; where a span is current, a step takes it for its parent, so that the server can tell one call seen twice. A span
that sampler dropped is nobody's parent: only its trace is taken over.
"""

from __future__ import annotations

import sys
from typing import Any

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.sdk import attachment, context
from outlay.sdk.context import Context, Run
from outlay.sdk.tags import say_once

_MODULE = "opentelemetry.trace"
_ATTRIBUTES_KEPT_MAX = 1_024

_enriched: set[int] = set()
_attributes: dict[Run, dict[str, str]] = {}


def look() -> None:
    """Join what is there by now: the current span as parent, and a processor on the provider once one is set."""
    module = sys.modules.get(_MODULE)
    if module is None:
        return
    try:
        context.around = _around
        provider: Any = module.get_tracer_provider()
        if id(provider) not in _enriched and hasattr(provider, "add_span_processor"):
            provider.add_span_processor(Enricher())
            _enriched.add(id(provider))
    except Exception as error:  # noqa: BLE001 - metering must never be the reason that an agent fails
        say_once(f"OpenTelemetry is left alone: {error!r}")


def _around(held: Context) -> Context:
    """The context under the current span, if that began after the step at hand."""
    span = sys.modules[_MODULE].get_current_span()
    said = span.get_span_context()
    if not said.is_valid:
        return held
    span_id = said.span_id.to_bytes(8, "big")
    if span_id == held.otel_span_id:
        return held
    trace_id = said.trace_id.to_bytes(16, "big")
    if span.is_recording() or said.is_remote:
        return Context(held.run, trace_id, span_id, held.purpose, span_id)
    enclosing = held.span_id if held.trace_id == trace_id else b""
    return Context(held.run, trace_id, enclosing, held.purpose, span_id)


class Enricher:
    """A span processor that writes the session and its tags on every span that starts."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the form of a processor
        """A span begins."""
        try:
            held = attachment.active()
            run = context.outside().run if held is None else held.here.run
            said = _attributes.get(run)
            if said is None:
                said = _said(run)
            if said:
                span.set_attributes(said)
        except Exception as error:  # noqa: BLE001 - see above
            say_once(f"a span could not be tagged: {error!r}")

    def on_end(self, span: Any) -> None:
        """A span ends."""

    def _on_ending(self, span: Any) -> None:
        """A span is about to end."""

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the form of a processor
        """Nothing waits."""
        return True


def _said(run: Run) -> dict[str, str]:
    said = {f"outlay.{key}": value for key in ENVELOPE_KEYS if (value := getattr(run.envelope, key)) != UNTAGGED}
    said |= {
        "outlay.session.id": run.session_id,
        "outlay.session.parent_id": run.parent_session_id,
        "outlay.task.id": run.task_id,
        "outlay.user": run.user,
    }
    said |= {f"outlay.tag.{key}": value for key, value in run.envelope.tags.items()}
    if len(_attributes) >= _ATTRIBUTES_KEPT_MAX:
        _attributes.clear()
    _attributes[run] = kept = {key: value for key, value in said.items() if value}
    return kept
