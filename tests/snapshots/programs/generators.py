"""A coroutine that awaits another, which runs a generator that yields from another."""


def inner(n):
    yield sum(range(n))
    yield len(str(n))


def outer(n):
    yield from inner(n)


async def fetch(n):
    return max(outer(n))


async def request(n):
    return await fetch(n)


def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value


while True:
    run(request(500))
