"""Threads that wait, each in another system call; the main thread in read(2)."""

import os
import select
import socket
import sys
import threading
import time

import truth

KEPT = []


def pipe():
    ends = os.pipe()
    KEPT.append(ends)
    return ends


def sockets():
    ends = socket.socketpair()
    KEPT.append(ends)
    return ends


def clock_nanosleep():
    time.sleep(100_000)


def read():
    os.read(pipe()[0], 1)


def read_of_file():
    os.fdopen(pipe()[0], "rb").read()


def recvfrom():
    sockets()[0].recv(1)


def recvfrom_of_file():
    sockets()[0].makefile("rb").readline()


def poll():
    poller = select.poll()
    poller.register(pipe()[0], select.POLLIN)
    poller.poll()


def poll_of_socket():
    end = sockets()[0]
    end.settimeout(100_000)
    end.recv(1)


def epoll_wait():
    poller = select.epoll()
    poller.register(pipe()[0], select.EPOLLIN)
    poller.poll()


def select_of_pipe():
    select.select([pipe()[0]], [], [])


def futex_of_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def futex_of_event():
    threading.Event().wait(100_000)


def accept4():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    server.accept()


def write():
    end = pipe()[1]
    while True:
        os.write(end, bytes(65536))


def sendto():
    sockets()[0].sendall(bytes(1 << 24))


def under_sort():
    sorted([1], key=lambda value: time.sleep(100_000))


FUNCTIONS = [
    clock_nanosleep,
    read,
    read_of_file,
    recvfrom,
    recvfrom_of_file,
    poll,
    poll_of_socket,
    epoll_wait,
    select_of_pipe,
    futex_of_lock,
    futex_of_event,
    accept4,
    write,
    sendto,
    under_sort,
]


def main():
    threads = [threading.Thread(target=function, name=function.__name__, daemon=True) for function in FUNCTIONS]
    for thread in threads:
        thread.start()
    told = [{"native_id": thread.native_id, "name": thread.name, "frames": []} for thread in threads]
    told.insert(0, {"native_id": threading.get_native_id(), "name": "read", "frames": []})
    truth._print({"pid": os.getpid(), "version": list(sys.version_info[:2]), "threads": told})
    os.read(0, 1)


main()
