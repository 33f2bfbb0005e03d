"""LangGraph: a graph that never has enough. Its budget has; then it says what it found so far, and ends."""

from __future__ import annotations

import operator
import os
import sys
from typing import Annotated, TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

import outlay

outlay.init(hosts={"127.0.0.1": "openai"}, runtime=False)
model = ChatOpenAI(model="gpt-4o", base_url=os.environ["MODELS_URL"], api_key="not-a-key", max_tokens=200)


class State(TypedDict):
    """What the nodes hand on: the notes so far, and why there are no more."""

    notes: Annotated[list[str], operator.add]
    stopped: str


def research(state: State) -> dict[str, object]:
    try:
        said = model.invoke(f"Find out more. So far: {len(state['notes'])} notes.")
    except Exception as error:
        refused = outlay.BudgetExceeded.of(error)
        if refused is None:
            raise
        return {"stopped": str(refused)}
    return {"notes": [str(said.content)]}


def conclude(state: State) -> dict[str, object]:
    with outlay.wrap_up():
        said = model.invoke(f"Sum up {len(state['notes'])} notes.", max_tokens=20)
    return {"notes": [f"in short: {said.content}"]}


graph = StateGraph(State)
graph.add_node("research", research)
graph.add_node("conclude", conclude)
graph.add_edge(START, "research")
graph.add_conditional_edges("research", lambda state: "conclude" if state["stopped"] else "research")
graph.add_edge("conclude", END)

with outlay.session(team="support", feature="research", id=sys.argv[1]) as session:
    done = graph.compile().invoke({"notes": [], "stopped": ""}, {"recursion_limit": 100_000})
    session.complete("failed")
outlay.flush()
print(f"stopped: {done['stopped']}")
print(f"{len(done['notes'])} notes, {done['notes'][-1][:9]}")
