"""Programs that are slow for one reason each: docs/reading.md shows how to tell them apart.

Usage: situations.py gil|io|native|gc|cpu [SECONDS]      default: until Ctrl-C
"""

import os
import random
import socket
import subprocess
import sys
import threading
import time
import zlib

end = float("inf")


def going_on():
    return time.monotonic() < end


def count_primes():
    while going_on():
        sum(all(number % factor for factor in range(2, int(number**0.5) + 1)) for number in range(2, 3000))


def gil():
    """Four threads compute in Python: one at a time can, and the others wait for their turn."""
    threads = [threading.Thread(target=count_primes) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


SERVER = """
import socket, time
connection = socket.socket(fileno=0)
while connection.recv(100):
    time.sleep(0.02)
    connection.sendall(b"row")
"""


def query(connection):
    connection.sendall(b"SELECT")
    return connection.recv(100)


def load_orders(connection):
    rows = [query(connection) for _ in range(10)]
    return b" ".join(rows).decode().split()


def io():
    """One query after the other, to a server (another process) that takes its time."""
    client, server = socket.socketpair()
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=server):
        server.close()
        while going_on():
            load_orders(client)
        client.close()


def archive(data):
    return zlib.compress(data, level=9)


def native():
    """A little Python, and C that does the work."""
    data = random.Random(1).choices(b"abcdefgh", k=400_000)
    while going_on():
        archive(bytes(data))


class Node:
    def __init__(self):
        self.itself = self


def build_graph():
    return [Node() for _ in range(20_000)]


def gc():
    """Much that stays, and much that refers to itself: only the collector of garbage frees it, and it looks at all each time."""
    cache = [[number] for number in range(400_000)]
    while going_on():
        build_graph()
    return cache


def serve():
    while going_on():
        sum(number * number for number in range(10_000))


def cpu():
    """Enough CPU for one, and three other processes that want it, too."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        serve()
    finally:
        for other in others:
            other.kill()
            other.wait()


def main():
    global end
    if len(sys.argv) > 2:
        end = time.monotonic() + float(sys.argv[2])
    {work.__name__: work for work in (gil, io, native, gc, cpu)}[sys.argv[1]]()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        end = 0
