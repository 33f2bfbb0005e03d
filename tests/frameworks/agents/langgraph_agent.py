"""LangGraph: a graph with two parallel nodes, a subgraph, an agent with tools and a sub-agent behind one of them."""

from __future__ import annotations

import operator
import threading
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langgraph.graph import END, START, StateGraph
from scene import EMBEDDING_MODEL, HELPER_MODEL, KEY, MAIN_MODEL, OPENAI_URL, PAPERS, QUESTION, order, session, signed

import outlay

outlay.init()

model = ChatOpenAI(model=MAIN_MODEL, base_url=OPENAI_URL, api_key=KEY)
helper = ChatOpenAI(model=HELPER_MODEL, base_url=OPENAI_URL, api_key=KEY, streaming=True, stream_usage=True)
embeddings = OpenAIEmbeddings(model=EMBEDDING_MODEL, base_url=OPENAI_URL, api_key=KEY, check_embedding_ctx_length=False)
store = InMemoryVectorStore(embeddings)


@tool
def search_papers(query: str) -> str:
    """Searches the office's papers."""
    return store.as_retriever().invoke(f"{signed('researcher')} {query}")[0].page_content


@tool
def lookup_order(number: str) -> str:
    """Looks an order up."""
    return order(number)


researcher = create_agent(helper, [search_papers], name="researcher", system_prompt=signed("researcher"))


@tool
def ask_researcher(question: str) -> str:
    """Asks the researcher."""
    return researcher.invoke({"messages": [("user", question)]})["messages"][-1].content


class State(TypedDict):
    """What the nodes hand on."""

    notes: Annotated[list[str], operator.add]
    messages: list[Any]


def shelve(_: State) -> dict[str, list[str]]:
    store.add_texts([f"{signed('front desk')} {paper}" for paper in PAPERS])
    return {"notes": ["shelved"]}


def greet(_: State) -> dict[str, list[str]]:
    """A raw thread inside a node: its model call belongs to the session all the same."""
    said: list[str] = []
    thread = threading.Thread(
        target=lambda: said.append(str(helper.invoke(f"{signed('front desk')} Say hello.").content))
    )
    thread.start()
    thread.join()
    return {"notes": said}


concierge = create_agent(model, [lookup_order, ask_researcher], name="concierge", system_prompt=signed("concierge"))

inner = StateGraph(State)
inner.add_node("greet", greet)
inner.add_edge(START, "greet")
inner.add_edge("greet", END)

outer = StateGraph(State)
outer.add_node("shelve", shelve)
outer.add_node("greeting", inner.compile())
outer.add_node("concierge", lambda state: {"messages": concierge.invoke({"messages": state["messages"]})["messages"]})
outer.add_edge(START, "shelve")
outer.add_edge(START, "greeting")
outer.add_edge(["shelve", "greeting"], "concierge")
outer.add_edge("concierge", END)

if __name__ == "__main__":
    with session():
        graph = outer.compile(name="front desk")
        state = graph.invoke({"notes": [], "messages": [("user", QUESTION)]})
    print(state["messages"][-1].content)
