"""AutoGen's runtime, started before any session: a handler works in the session of whoever sent the message."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler

import outlay

outlay.init()


@dataclass
class Ask:
    """A question to be passed on so many times."""

    left: int


class Clerk(RoutedAgent):
    """Says in which session it works, and passes the question on to itself."""

    def __init__(self) -> None:
        super().__init__("A clerk.")

    @message_handler
    async def handle(self, message: Ask, ctx: MessageContext) -> str:
        here = outlay.current().session_id
        later = await self.send_message(Ask(message.left - 1), self.id) if message.left else ""
        return f"{here} {later}".strip()


async def main() -> None:
    runtime = SingleThreadedAgentRuntime()
    await Clerk.register(runtime, "clerk", Clerk)
    runtime.start()

    async def ask(session_id: str) -> str:
        with outlay.session(id=session_id, team="support"):
            return await runtime.send_message(Ask(1), AgentId("clerk", session_id))

    found = await asyncio.gather(ask("one"), ask("two"))
    await runtime.stop_when_idle()
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
