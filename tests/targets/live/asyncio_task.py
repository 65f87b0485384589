"""Coroutines in a task of an event loop."""

import asyncio
import sys

import truth

FROM_C = {"request"}
if sys.version_info < (3, 12):
    FROM_C.add("fetch")


async def fetch():
    await asyncio.sleep(0)
    truth.hold(from_c=FROM_C)


async def request():
    await fetch()


async def main():
    await asyncio.create_task(request())


asyncio.run(main())
