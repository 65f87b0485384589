"""A web application for WSGI and ASGI: each request works for 20 ms of CPU time, and answers with its process and the CPU time of that."""

import os
import time


def burn(millis):
    end = time.thread_time() + millis / 1000
    while time.thread_time() < end:
        sum(range(2000))


def answer():
    burn(20)
    return f"{os.getpid()} web {time.process_time():.6f}\n".encode()


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer()]


async def asgi(scope, receive, send):
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": answer()})
