"""Threads that wait, each for something else; the main thread for standard input.

A thread's name is what it waits for, in fpprof's words (several where the C library chooses the call), and how.
"""

import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import truth

KEPT = []


def keep(value):
    KEPT.append(value)
    return value


def wait_for_child():
    # The child ends when this process does, for its standard input closes then.
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    keep(subprocess.Popen(command, stdin=subprocess.PIPE)).wait()


def wait_for_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def wait_in_epoll():
    poller = select.epoll()
    poller.register(keep(os.pipe())[0], select.EPOLLIN)
    poller.poll()


def accept():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    server.accept()


def write():
    end = keep(os.pipe())[1]
    while True:
        os.write(end, bytes(65536))


def receive_with_timeout():
    end = keep(socket.socketpair())[0]
    end.settimeout(100_000)
    end.recv(1)


WAITS = {
    "sleeping / time.sleep": lambda: time.sleep(100_000),
    "sleeping / select of nothing": lambda: select.select([], [], [], 100_000),
    "sleeping / poll of nothing": lambda: select.poll().poll(100_000_000),
    "waiting for a lock / Lock": wait_for_lock,
    "waiting for a lock / Event": lambda: threading.Event().wait(),
    "waiting for a lock / Event with timeout": lambda: threading.Event().wait(100_000),
    "waiting for a lock / Queue": lambda: queue.Queue().get(),
    "waiting for a lock / SimpleQueue": lambda: queue.SimpleQueue().get(),
    "waiting for a lock / join": lambda: threading.main_thread().join(),
    "I/O: read pipe / os.read": lambda: os.read(keep(os.pipe())[0], 1),
    "I/O: read eventfd / os.eventfd_read": lambda: os.eventfd_read(os.eventfd(0)),
    "I/O: write pipe / os.write": write,
    "I/O: recvfrom socket / recv": lambda: keep(socket.socketpair())[0].recv(1),
    "I/O: sendto socket / sendall": lambda: keep(socket.socketpair())[0].sendall(bytes(1 << 24)),
    "I/O: accept4 socket|I/O: accept socket / accept": accept,
    "I/O: poll|I/O: ppoll / recv with timeout": receive_with_timeout,
    "I/O: select|I/O: pselect6 / select": lambda: select.select([keep(os.pipe())[0]], [], []),
    "I/O: epoll_wait epoll|I/O: epoll_pwait epoll / epoll": wait_in_epoll,
    "waiting for a child process / subprocess": wait_for_child,
    "waiting for a signal / sigwait": lambda: signal.sigwait({signal.SIGUSR1}),
}


def main():
    threads = [threading.Thread(target=wait, name=name, daemon=True) for name, wait in WAITS.items()]
    for thread in threads:
        thread.start()
    told = [{"native_id": thread.native_id, "name": thread.name, "frames": []} for thread in threads]
    told.insert(0, {"native_id": threading.get_native_id(), "name": "I/O: read pipe / main", "frames": []})
    truth._print({"pid": os.getpid(), "version": list(sys.version_info[:2]), "threads": told})
    os.read(0, 1)
    os._exit(0)


main()
