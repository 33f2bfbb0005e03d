"""Claude Agent SDK: the command line it starts reports its calls by itself; here it is told where to and for whom.

What the application put into `options.env` or the environment stays. The command line's own session becomes a child of
the one in which it was started, and carries its envelope.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import quote

from outlay.sdk.frameworks.hooking import replace
from outlay.sdk.processes import environment
from outlay.sdk.recorder import recorder
from outlay.sdk.surroundings import RESOURCE_VARIABLE

SWITCH = "CLAUDE_CODE_ENABLE_TELEMETRY"
SPANS = "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA"
"""What switches its spans on: they alone tell how often a call was tried, and which sub-agent made it."""
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

MAIN_AGENT = "gen_ai.agent.id=claude-agent"
"""What the events of the main agent are called, which name none; a sub-agent's own name is asked for first."""


def hook_transport(module: ModuleType) -> None:
    """`claude_agent_sdk._internal.transport.subprocess_cli`."""
    replace(module.SubprocessCLITransport, "__init__", _prepared)


def _prepared(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, prompt: Any, options: Any, *args: Any, **named: Any) -> None:
        original(self, prompt, _told(options), *args, **named)

    return init


def _told(options: Any) -> Any:
    """The options with an environment that reports to Outlay."""
    try:
        return dataclasses.replace(options, env={**options.env, **missing(options.env)})
    except Exception:  # noqa: BLE001 - an agent that is not metered beats one that does not start
        return options


def missing(stated: Mapping[str, str]) -> dict[str, str]:
    """What the command line needs to hear beside what `stated` and this process's environment say."""
    said = environment()
    resource = said.get(RESOURCE_VARIABLE) or os.environ.get(RESOURCE_VARIABLE, "")
    # The application's own word comes last and stands.
    said[RESOURCE_VARIABLE] = ",".join(filter(None, [MAIN_AGENT, resource, stated.get(RESOURCE_VARIABLE, "")]))
    here = recorder()
    where = here.status().endpoint
    if where and not any(name in os.environ or name in stated for name in (SWITCH, ENDPOINT)):
        said |= {
            SWITCH: "1",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_TRACES_EXPORTER": "otlp",
            SPANS: "1",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            ENDPOINT: where,
        }
        if here.settings.key:
            said["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization=Bearer%20{quote(here.settings.key)}"
    return said
