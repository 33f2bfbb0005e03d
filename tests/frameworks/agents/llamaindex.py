"""LlamaIndex: an index with its embeddings, a query engine as a tool, two agents that hand over."""

from __future__ import annotations

import asyncio

from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI
from scene import EMBEDDING_MODEL, HELPER_MODEL, KEY, MAIN_MODEL, OPENAI_URL, PAPERS, QUESTION, order, session, signed

import outlay

outlay.init(include_usage=True)

Settings.embed_model = OpenAIEmbedding(model_name=EMBEDDING_MODEL, api_base=OPENAI_URL, api_key=KEY)
helper = OpenAI(model=HELPER_MODEL, api_base=OPENAI_URL, api_key=KEY)
main_model = OpenAI(model=MAIN_MODEL, api_base=OPENAI_URL, api_key=KEY)


def lookup_order(number: str) -> str:
    """Looks an order up."""
    return order(number)


async def main() -> str:
    with session():
        index = VectorStoreIndex.from_documents([Document(text=paper) for paper in PAPERS])
        engine = index.as_query_engine(llm=helper)

        async def search_papers(query: str) -> str:
            """Searches the office's papers."""
            return str(await engine.aquery(f"{signed('researcher')} {query}"))

        researcher = FunctionAgent(
            name="researcher",
            description="Knows the papers.",
            llm=helper,
            tools=[search_papers],
            system_prompt=signed("researcher"),
        )
        concierge = FunctionAgent(
            name="concierge",
            description="Answers.",
            llm=main_model,
            tools=[lookup_order],
            can_handoff_to=["researcher"],
            streaming=False,
            system_prompt=signed("concierge"),
        )
        flow = AgentWorkflow(agents=[concierge, researcher], root_agent="concierge")
        return str(await flow.run(user_msg=QUESTION))


if __name__ == "__main__":
    print(asyncio.run(main()))
