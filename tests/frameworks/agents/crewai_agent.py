"""CrewAI: a crew of two agents, tools, delegation to a coworker."""

from __future__ import annotations

import os

os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")
os.environ.setdefault("OTEL_SDK_DISABLED", "true")

from crewai import LLM, Agent, Crew, Process, Task
from crewai.tools import tool
from openai import OpenAI
from scene import EMBEDDING_MODEL, HELPER_MODEL, KEY, MAIN_MODEL, OPENAI_URL, QUESTION, order, session, signed

import outlay

outlay.init()


@tool
def search_papers(query: str) -> str:
    """Searches the office's papers."""
    OpenAI(base_url=OPENAI_URL, api_key=KEY).embeddings.create(
        model=EMBEDDING_MODEL, input=f"{signed('researcher')} {query}"
    )
    return "Parcels leave at nine."


@tool
def lookup_order(number: str) -> str:
    """Looks an order up."""
    return order(number)


def llm(name: str, **more: object) -> LLM:
    return LLM(model=f"openai/{name}", base_url=OPENAI_URL, api_key=KEY, **more)


def main() -> str:
    researcher = Agent(
        role="researcher", goal="Search.", backstory=signed("researcher"), llm=llm(HELPER_MODEL), tools=[search_papers]
    )
    concierge = Agent(
        role="concierge",
        goal="Help.",
        backstory=signed("concierge"),
        llm=llm(MAIN_MODEL),
        tools=[lookup_order],
        allow_delegation=True,
    )
    search = Task(description="Find the rules.", expected_output="A rule.", agent=researcher)
    answer = Task(description=QUESTION, expected_output="An answer.", agent=concierge, context=[search])
    crew = Crew(name="office", agents=[researcher, concierge], tasks=[search, answer], process=Process.sequential)
    with session():
        return str(crew.kickoff().raw)


if __name__ == "__main__":
    print(main())
