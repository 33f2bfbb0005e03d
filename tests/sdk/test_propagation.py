"""The table of propagation, every row: the tag is where the work is, and nowhere else.

Each case calls `work()` somewhere, which records a tool step; the facts that the product reads tell under which team.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

import outlay
from outlay.sdk.step import Step
from sdk_facts import Fact

Recorded = Callable[[], list[Fact]]


def work(name: str = "work") -> None:
    outlay.record(Step("tool", name))


def teams(facts: list[Fact]) -> dict[str, str | None]:
    """Team by name of the tool step."""
    return {fact["name"]: fact["team"] for fact in facts if fact["operation"] == "tool"}


def test_the_same_thread(recorded: Recorded) -> None:
    work("before")
    with outlay.session(team="a"):
        work("inside")
    work("after")
    assert teams(recorded()) == {"before": None, "inside": "a", "after": None}


def test_asyncio_tasks_and_to_thread(recorded: Recorded) -> None:
    async def task(name: str) -> None:
        await asyncio.sleep(0)
        work(name)

    async def run(team: str) -> None:
        async with outlay.session(team=team):
            await asyncio.gather(task(f"{team} task"), asyncio.create_task(task(f"{team} create_task")))
            await asyncio.to_thread(work, f"{team} to_thread")
            await asyncio.get_running_loop().run_in_executor(None, work, f"{team} run_in_executor")

    async def main() -> None:
        await asyncio.gather(run("a"), run("b"))
        await task("outside")

    asyncio.run(main())
    words = ("task", "create_task", "to_thread", "run_in_executor")
    assert teams(recorded()) == {f"{team} {word}": team for team in "ab" for word in words} | {"outside": None}


def test_a_task_that_outlives_the_session_keeps_it(recorded: Recorded) -> None:
    async def main() -> None:
        async def late() -> None:
            await asyncio.sleep(0.01)
            work("late")

        with outlay.session(team="a"):
            task = asyncio.create_task(late())
        await task

    asyncio.run(main())
    assert teams(recorded()) == {"late": "a"}


def test_run_in_executor_of_ones_own_pool(recorded: Recorded) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            with outlay.session(team="a"):
                await loop.run_in_executor(pool, work, "a")
            with outlay.session(team="b"):
                await loop.run_in_executor(pool, work, "b")
            await loop.run_in_executor(pool, work, "nobody")

    asyncio.run(main())
    assert teams(recorded()) == {"a": "a", "b": "b", "nobody": None}


def test_a_pool_thread_belongs_to_no_session(recorded: Recorded) -> None:
    with ThreadPoolExecutor(1) as pool:
        with outlay.session(team="a"):
            pool.submit(work, "a").result()
            list(pool.map(work, ["map"]))
        pool.submit(work, "nobody").result()
        with outlay.session(team="b"):
            pool.submit(work, "b").result()
    assert teams(recorded()) == {"a": "a", "map": "a", "nobody": None, "b": "b"}


def test_a_thread_with_a_target_and_one_with_a_run_of_its_own(recorded: Recorded) -> None:
    class Own(threading.Thread):
        def run(self) -> None:
            work("own run")

    with outlay.session(team="a"):
        threads = [threading.Thread(target=work, args=("target",)), Own(), threading.Timer(0, work, ("timer",))]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert teams(recorded()) == {"target": "a", "own run": "a", "timer": "a"}
    assert all("run" not in vars(thread) for thread in threads)


def test_a_daemon_keeps_the_session_until_that_ends(recorded: Recorded) -> None:
    jobs: queue.Queue[str] = queue.Queue()

    def worker() -> None:
        while name := jobs.get():
            work(name)
            jobs.task_done()

    with outlay.session(team="a"):
        daemon = threading.Thread(target=worker, daemon=True)
        daemon.start()
        jobs.put("inside")
        jobs.join()
    jobs.put("after")
    jobs.join()
    jobs.put("")
    daemon.join()
    assert teams(recorded()) == {"inside": "a", "after": None}


def test_a_queue_worker_by_carrier(recorded: Recorded) -> None:
    jobs: queue.Queue[tuple[str, str] | None] = queue.Queue()

    def worker() -> None:
        while (job := jobs.get()) is not None:
            name, carrier = job
            with outlay.attached(carrier):
                work(name)

    thread = threading.Thread(target=worker)
    thread.start()
    for team in "ab":
        with outlay.session(team=team, id=f"session-{team}", feature="f", tags="kept") as session:
            jobs.put((team, outlay.carrier()))
            assert session.id == f"session-{team}"
    jobs.put(("nobody", outlay.carrier()))
    jobs.put(None)
    thread.join()
    facts = recorded()
    assert teams(facts) == {"a": "a", "b": "b", "nobody": None}
    carried = next(fact for fact in facts if fact["name"] == "a")
    assert (carried["session_id"], carried["feature"], carried["tags"]) == ("session-a", "f", {"tags": "kept"})
    session_step = next(fact for fact in facts if fact["session_id"] == "session-a" and fact["operation"] == "workflow")
    assert carried["tree_key"] == session_step["tree_key"]
    assert carried["parent_key"] == session_step["fact_key"]


def test_a_child_process_by_its_environment(recorded: Recorded, spool: object) -> None:
    child = "import outlay; outlay.usage('child', 'tool'); outlay.flush()"
    with outlay.session(team="a", id="parent"):
        surroundings = {**__import__("os").environ, **outlay.environment()}
        subprocess.run([sys.executable, "-c", child], env=surroundings, check=True)
    facts = recorded()
    assert teams(facts) == {"child": "a"}
    assert {fact["session_id"] for fact in facts} == {"parent"}


# ---- generators --------------------------------------------------------------------------------------------------


def inside(names: list[str]) -> Iterator[str]:
    with outlay.session(team="a"):
        for name in names:
            work(f"{name} inside")
            yield name
        work("last inside")


def test_a_generator_does_not_leak_to_its_consumer(recorded: Recorded) -> None:
    for name in inside(["one", "two"]):
        work(f"{name} outside")
    work("end outside")
    assert teams(recorded()) == {
        "one inside": "a",
        "one outside": None,
        "two inside": "a",
        "two outside": None,
        "last inside": "a",
        "end outside": None,
    }


def test_a_consumer_with_a_session_of_its_own_keeps_it_and_the_generator_its_own(recorded: Recorded) -> None:
    with outlay.session(team="b"):
        for name in inside(["one"]):
            work(f"{name} outside")
    assert teams(recorded()) == {"one inside": "a", "one outside": "b", "last inside": "a"}


def test_sessions_that_overlap_without_nesting(recorded: Recorded) -> None:
    generator = inside(["one", "two"])
    next(generator)
    with outlay.session(team="b"):
        work("b")
        next(generator)
        work("b again")
        with contextlib.suppress(StopIteration):
            next(generator)
        work("b still")
    work("nobody")
    said = teams(recorded())
    assert {name: said[name] for name in ("b", "b again", "b still", "nobody")} == {
        "b": "b",
        "b again": "b",
        "b still": "b",
        "nobody": None,
    }
    assert said["two inside"] == said["last inside"] == "a"


def test_a_generator_that_is_dropped_leaves_nothing_behind(recorded: Recorded) -> None:
    generator = inside(["one", "two"])
    next(generator)
    del generator
    work("nobody")
    assert teams(recorded())["nobody"] is None


def test_an_async_generator_does_not_leak(recorded: Recorded) -> None:
    async def numbers() -> AsyncIterator[int]:
        async with outlay.session(team="a"):
            for number in range(2):
                await asyncio.sleep(0)
                work(f"{number} inside")
                await asyncio.create_task(deep(number))
                yield number

    async def deep(number: int) -> None:
        await asyncio.sleep(0)
        work(f"{number} task inside")

    async def main() -> None:
        async for number in numbers():
            work(f"{number} outside")
            await asyncio.sleep(0)
            work(f"{number} still outside")
        abandoned = numbers()
        await anext(abandoned)
        work("nobody")
        await abandoned.aclose()  # type: ignore[attr-defined]
        work("nobody either")

    asyncio.run(main())
    said = teams(recorded())
    assert {name for name, team in said.items() if team == "a"} == {name for name in said if name.endswith(" inside")}
    assert said["nobody"] is said["nobody either"] is None


def test_a_generator_that_is_driven_from_several_threads_keeps_its_session(recorded: Recorded) -> None:
    generator = inside(["one", "two"])
    for _ in range(3):
        thread = threading.Thread(target=lambda: copy_context().run(lambda: next(generator, None)))
        thread.start()
        thread.join()
    assert set(teams(recorded()).values()) == {"a"}


def test_a_task_started_by_a_suspended_generator_keeps_the_session(recorded: Recorded) -> None:
    async def numbers() -> AsyncIterator[asyncio.Task[None]]:
        with outlay.session(team="a"):
            yield asyncio.create_task(later())

    async def later() -> None:
        await asyncio.sleep(0.01)
        work("task")

    async def main() -> None:
        generator = numbers()
        task = await anext(generator)
        await task
        work("outside")
        await generator.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert teams(recorded()) == {"task": "a", "outside": None}


def test_a_context_manager_made_of_a_generator_lends_its_session(recorded: Recorded) -> None:
    @contextlib.contextmanager
    def ours() -> Iterator[None]:
        with outlay.session(team="a"):
            yield

    @contextlib.asynccontextmanager
    async def ours_too() -> AsyncIterator[None]:
        async with outlay.session(team="b"):
            yield

    async def main() -> None:
        async with ours_too():
            work("b")

    with ours():
        work("a")
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours())
        work("stack")
    asyncio.run(main())
    work("nobody")
    assert teams(recorded()) == {"a": "a", "stack": "a", "b": "b", "nobody": None}


def test_a_lent_session_inside_a_generator_does_not_leak_either(recorded: Recorded) -> None:
    @contextlib.contextmanager
    def ours() -> Iterator[None]:
        with outlay.session(team="a"):
            yield

    def numbers() -> Iterator[int]:
        with ours():
            work("inside")
            yield 1

    for _ in numbers():
        work("outside")
    assert teams(recorded()) == {"inside": "a", "outside": None}


# ---- decorators --------------------------------------------------------------------------------------------------


def test_a_session_in_front_of_every_kind_of_function(recorded: Recorded) -> None:
    @outlay.session(team="a")
    def plain() -> int:
        work("plain")
        return 1

    @outlay.session(team="a")
    async def coroutine() -> int:
        await asyncio.sleep(0)
        work("coroutine")
        return 2

    @outlay.session(team="a")
    def generator() -> Iterator[int]:
        work("generator")
        got = yield 1
        work(f"sent {got}")
        return 3

    @outlay.agent("b", team="b")
    async def asynchronous() -> AsyncIterator[int]:
        try:
            work("asynchronous")
            got = yield 1
            work(f"sent too {got}")
            yield 2
        finally:
            work("closed")

    async def main() -> None:
        assert await coroutine() == 2
        agen = asynchronous()
        assert await anext(agen) == 1
        work("outside")
        assert await agen.asend("x") == 2  # type: ignore[attr-defined]
        await agen.aclose()  # type: ignore[attr-defined]

    assert plain() == 1
    gen = generator()
    assert next(gen) == 1
    work("outside gen")
    with pytest.raises(StopIteration) as stop:
        gen.send("y")  # type: ignore[attr-defined]
    assert stop.value.value == 3
    asyncio.run(main())
    facts = recorded()
    assert teams(facts) == {
        **dict.fromkeys(("plain", "coroutine", "generator", "sent y"), "a"),
        **dict.fromkeys(("asynchronous", "sent too x", "closed"), "b"),
        **dict.fromkeys(("outside", "outside gen"), None),
    }
    sessions = {fact["session_id"] for fact in facts if fact["operation"] in {"workflow", "agent"}}
    assert len(sessions) == 4


def test_each_call_of_a_decorated_function_is_a_session_of_its_own(recorded: Recorded) -> None:
    @outlay.session
    def bare() -> str:
        return outlay.current().session_id

    @outlay.agent
    def researcher() -> tuple[str, str]:
        return outlay.current().session_id, outlay.current().agent

    assert bare() != bare() != ""
    assert researcher()[1] == "researcher"
    assert outlay.current().session_id == ""
