"""Two agents of the company that run here and now, through the SDK as an application would use it.

`run(target, home)` starts them in a process of their own. One is a graph with parallel nodes, on LangGraph where that
is installed and on a few lines of our own where it is not; the other a group chat whose members take their turns from
a queue. No model is called: what the calls would have used is stated.
"""

from __future__ import annotations

import operator
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, TypedDict

import outlay
from outlay.core.errors import ServerError

SECONDS_MAX = 60
GRAPH_SESSION = "demo-parcel-desk"
CHAT_SESSION = "demo-reply-review"
_CHAT = "gpt-4.1-mini"


class _Notes(TypedDict):
    """What the nodes of the graph hand on: which of them are done."""

    done: Annotated[list[str], operator.add]


Node = Callable[[Any], dict[str, Any]]


def run(target: str, home: Path, python: str = sys.executable) -> None:
    """Runs both to their end against the server at `target`; ServerError where their process fails.

    `python` may be another interpreter, such as one that has LangGraph.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OUTLAY_")}
    env = {**kept, "OUTLAY_ENDPOINT": target, "OUTLAY_HOME": str(home)}
    command = [python, "-m", "outlay.demo.agents"]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, env=env, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"the demo's own agents did not run: {error}", hint="the same command tries again") from error
    if done.returncode:
        raise ServerError(f"the demo's own agents failed: {done.stderr.strip()[-300:]}", hint="is the server running?")


# ------------------------------------------------------------------------------------------- a graph, in parallel


def parcel_desk() -> None:
    """Two nodes side by side, then an answer for which a sub-agent is asked and one attempt is refused."""
    nodes: dict[str, Node] = {"papers": _papers, "check": _check, "answer": _answer}
    with outlay.session(
        team="support", feature="parcel-desk", tier="pro", agent="parcel-desk", id=GRAPH_SESSION, task="parcel-1"
    ) as session:
        (_on_langgraph if find_spec("langgraph") else _on_our_own)(nodes)
        session.complete("done", value="4.20", currency="USD", type="parcel_found")


def _papers(_state: Any) -> dict[str, Any]:
    with outlay.step("papers", kind="retrieval"):
        outlay.usage(
            "papers",
            "embedding",
            provider="openai",
            model="text-embedding-3-small",
            input_tokens=18_400,
            duration_s=0.1,
        )
    return {"done": ["papers"]}


def _check(_state: Any) -> dict[str, Any]:
    outlay.usage("tone", "guardrail", provider="openai", model="gpt-4.1-nano", input_tokens=900, output_tokens=4)
    return {"done": ["check"]}


def _answer(_state: Any) -> dict[str, Any]:
    outlay.usage("answer", provider="openai", model=_CHAT, error="rate_limit", duration_s=0.4)
    outlay.usage("answer", provider="openai", model=_CHAT, input_tokens=6200, output_tokens=310, attempt=1)
    with outlay.step("ask_researcher", kind="tool"), outlay.agent("researcher"):
        outlay.usage("search", provider="openai", model="gpt-4.1-nano", input_tokens=3100, output_tokens=120)
    return {"done": ["answer"]}


def _on_langgraph(nodes: Mapping[str, Node]) -> None:
    library: Any = import_module("langgraph.graph")
    graph = library.StateGraph(_Notes)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for first in ("papers", "check"):
        graph.add_edge(library.START, first)
    graph.add_edge(["papers", "check"], "answer")
    graph.add_edge("answer", library.END)
    graph.compile(name="parcel-desk").invoke({"done": []})


def _on_our_own(nodes: Mapping[str, Node]) -> None:
    with ThreadPoolExecutor(2) as pool:  # the session follows into the pool's threads
        for done in [pool.submit(nodes[name], {}) for name in ("papers", "check")]:
            done.result()
    nodes["answer"]({})


# ------------------------------------------------------------------------------------------ a chat, through a queue


def reply_review() -> None:
    """Writer and critic take turns; the thread that serves them is older than the session, so a message carries it."""
    post: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    members = threading.Thread(target=_take_turns, args=(post, told), daemon=True)
    members.start()
    with outlay.session(
        team="support", feature="reply-review", tier="free", agent="reply-review", id=CHAT_SESSION, task="reply-1"
    ) as session:
        for member in ("writer", "critic", "writer"):
            post.put((member, outlay.carrier()))
            told.get(timeout=SECONDS_MAX)
        outlay.usage("who speaks next", provider="openai", model="gpt-4.1-nano", input_tokens=1400, output_tokens=9)
        session.complete("done", value="1.10", currency="USD", type="reply_sent")
    post.put(None)
    members.join()


def _take_turns(post: queue.SimpleQueue[tuple[str, str] | None], told: queue.SimpleQueue[str]) -> None:
    while (message := post.get()) is not None:
        member, carrier = message
        with outlay.attached(carrier), outlay.agent(member, id=f"{CHAT_SESSION}~{member}"):
            outlay.usage("turn", provider="openai", model=_CHAT, input_tokens=2600, output_tokens=240)
        told.put(member)


def main() -> int:
    """Runs both and waits until the server has everything."""
    outlay.init()
    parcel_desk()
    reply_review()
    return 0 if outlay.flush(SECONDS_MAX / 2) else 1


if __name__ == "__main__":
    sys.exit(main())
