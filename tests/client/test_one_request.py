"""However many share one ``ClientCredentials``, the authorization server sees one of them."""

from __future__ import annotations

import asyncio
import threading

import httpx
import trio

from tests.client.scripted import Asked, Reply, Scripted, granted

THREADS = 200
TASKS = 1_000


class Slow:
    """A token endpoint that answers when everybody is waiting."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, _: Asked) -> Reply:
        """Answer."""
        self.asked.set()
        assert self.may_answer.wait(20)
        return granted("t1")


async def test_cold_start_of_threads_and_tasks_is_one_token_request(server: Scripted) -> None:
    """200 threads, 1,000 tasks of one asyncio loop and as many of trio, all at the same moment."""
    slow = Slow()
    server.says("/token", slow)
    auth = server.credentials()
    ready = threading.Barrier(THREADS + 3)
    served: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        served.append(request.headers["Authorization"])
        return httpx.Response(200)

    resource = httpx.MockTransport(respond)
    plain = httpx.Client(auth=auth, transport=resource)

    async def get(http: httpx.AsyncClient) -> None:
        await http.get("https://api.example.com/data")

    def thread() -> None:
        ready.wait(20)
        plain.get("https://api.example.com/data")

    async def tasks() -> None:
        ready.wait(20)
        async with httpx.AsyncClient(auth=auth, transport=resource) as http:
            await asyncio.gather(*(get(http) for _ in range(TASKS)))

    async def trio_tasks() -> None:
        ready.wait(20)
        async with httpx.AsyncClient(auth=auth, transport=resource) as http, trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(get, http)

    threads = [threading.Thread(target=thread) for _ in range(THREADS)]
    threads += [
        threading.Thread(target=asyncio.run, args=(tasks(),)),
        threading.Thread(target=trio.run, args=(trio_tasks,)),
    ]
    for each in threads:
        each.start()
    await asyncio.to_thread(ready.wait, 20)
    # The request is in the air while the most of them ask.
    assert await asyncio.to_thread(slow.asked.wait, 20)
    slow.may_answer.set()
    for each in threads:
        await asyncio.to_thread(each.join, 20)
    assert len(served) == THREADS + 2 * TASKS
    assert set(served) == {"Bearer t1"}
    assert [asked.path for asked in server.asked] == ["/token"]
