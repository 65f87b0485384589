"""Threads that wait in the system calls which a stop disturbs, and count how often one was disturbed.

Asked `counts`, or `end`, after which the figures are spoilt, it answers a JSON object: for each call how often it was made, and how often it failed with EINTR or came back
short. The calls are libc's own, by ctypes: Python's functions try again after EINTR (PEP 475) and hide it.
Which calls: signal(7), "Interruption of system calls and library functions by stop signals".
"""

import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
WAIT_MS = 5
SIZE = 1 << 20
counts = {}


def forever(name, call, disturbed):
    calls = hits = 0
    while True:
        ctypes.set_errno(0)
        result = call()
        calls += 1
        hits += disturbed(result)
        counts[name] = (calls, hits)


def interrupted(result):
    return result < 0 and ctypes.get_errno() == errno.EINTR


def incomplete(result):
    return result != SIZE


def waits(name, call):
    start(forever, name, call, interrupted)


def transfers(name, call):
    start(forever, name, call, incomplete)


def start(*arguments):
    threading.Thread(target=arguments[0], args=arguments[1:], daemon=True).start()


def slow_reader(fd):
    while True:
        os.read(fd, 32768)
        time.sleep(0.001)


def slow_writer(fd):
    piece = bytes(32768)
    while True:
        os.write(fd, piece)
        time.sleep(0.001)


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
buffer = ctypes.create_string_buffer(SIZE)
timeout = struct.pack("ll", 0, WAIT_MS * 1_000_000)

poller = select.epoll()
event = ctypes.create_string_buffer(64)
waits("epoll_wait", lambda: libc.epoll_wait(poller.fileno(), event, 1, WAIT_MS))
second_event = ctypes.create_string_buffer(64)
waits("epoll_pwait", lambda: libc.epoll_pwait(poller.fileno(), second_event, 1, WAIT_MS, None))

quiet, kept = socket.socketpair()
quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, WAIT_MS * 1000))
byte = ctypes.create_string_buffer(1)
waits("recv, SO_RCVTIMEO", lambda: libc.recv(quiet.fileno(), byte, 1, 0))

signals = struct.pack("16Q", 1 << (signal.SIGUSR1 - 1), *[0] * 15)
waits("sigtimedwait", lambda: libc.sigtimedwait(signals, None, timeout))

semaphore = libc.semget(0, 1, 0o600)
operation = struct.pack("Hhh", 0, -1, 0)
waits("semtimedop", lambda: libc.semtimedop(semaphore, operation, 1, timeout))

read_end, write_end = os.pipe()
start(slow_reader, read_end)
transfers("write", lambda: libc.write(write_end, buffer, ctypes.c_size_t(SIZE)))

sender, receiver = socket.socketpair()
start(slow_reader, receiver.fileno())
transfers("send", lambda: libc.send(sender.fileno(), buffer, ctypes.c_size_t(SIZE), 0))

source, sink = socket.socketpair()
start(slow_writer, source.fileno())
received = ctypes.create_string_buffer(SIZE)
transfers("recv, MSG_WAITALL", lambda: libc.recv(sink.fileno(), received, ctypes.c_size_t(SIZE), socket.MSG_WAITALL))

print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "end":
        # IPC_RMID of <sys/ipc.h>: a semaphore outlives its process.
        libc.semctl(semaphore, 0, 0)
    print(json.dumps(counts), flush=True)
