"""LangGraph as the propagation table asks: parallel nodes, a tool, a subgraph, a raw thread in a node; sync and async.

Prints, for each way of running and each place in it, whose work it was.
"""

from __future__ import annotations

import asyncio
import json
import operator
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

import outlay

outlay.init()
found: dict[str, str] = {}


def here(place: str) -> dict[str, list[str]]:
    """Writes down who is charged in this place."""
    context = outlay.current()
    found[place] = f"{context.root_session_id} {context.envelope.team}"
    return {"done": [place]}


class State(TypedDict):
    """What the nodes hand on."""

    done: Annotated[list[str], operator.add]


@tool
def weigh(parcel: str) -> str:
    """Weighs a parcel."""
    here("tool")
    return parcel


def left(_: State) -> dict[str, list[str]]:
    weigh.invoke({"parcel": "17"})
    return here("left node")


def right(_: State) -> dict[str, list[str]]:
    thread = threading.Thread(target=here, args=("raw thread in a node",))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(here, "pool in a node").result()
    return here("right node")


async def left_async(_: State) -> dict[str, list[str]]:
    await weigh.ainvoke({"parcel": "17"})
    return here("left node")


async def right_async(_: State) -> dict[str, list[str]]:
    await asyncio.gather(asyncio.to_thread(here, "raw thread in a node"), asyncio.to_thread(right, {"done": []}))
    return here("right node")


def graph(first: Any, second: Any) -> Any:
    """Two nodes side by side, one of them in a graph of its own."""
    inner = StateGraph(State)
    inner.add_node("inner", second)
    inner.add_edge(START, "inner")
    inner.add_edge("inner", END)
    outer = StateGraph(State)
    outer.add_node("first", first)
    outer.add_node("second", inner.compile())
    outer.add_edge(START, "first")
    outer.add_edge(START, "second")
    outer.add_edge(["first", "second"], END)
    return outer.compile()


async def main() -> None:
    with outlay.session(id="sync", team="a"):
        graph(left, right).invoke({"done": []})
    told = {"sync": dict(found)}
    found.clear()
    async with outlay.session(id="async", team="b"):
        await graph(left_async, right_async).ainvoke({"done": []})
    print(json.dumps({**told, "async": dict(found)}))


if __name__ == "__main__":
    asyncio.run(main())
