"""Threads in the system calls that a stop ends early: `disturbing_calls.py work still|waits|fast [CALL ...]`.

still   each call is made once, and waits until the end
waits   each call is made again and again, and waits for milliseconds
fast    another process wakes each call, thousands of times a second

At the end it says, as a line of JSON, for each call how often it was made, how often it failed with EINTR or moved less than it
was to move (`disturbed`), and how often anything else came of it than should (`wrong`). The calls are libc's own: Python's
functions try again after EINTR (PEP 475), and hide it. Which calls: signal(7), "Interruption of system calls and library
functions by stop signals".
"""

import ctypes
import errno
import os
import select
import struct
import sys
import threading
import time

# Not `signal` and `socket`, which make enumerations of their constants: see truth.
import _signal as signal
import _socket as socket

import truth

WAY = truth.ARGUMENTS[0]
# What the large transfers move, and how much of it at once is taken at their other end.
SIZE, PIECE = 1 << 20, 1 << 15
# How long a wait lasts: one that waits until the end must outlive every test.
LIMIT_MS = 3_600_000 if WAY == "still" else 5
# Between two wakes, seconds: seven calls share the process that makes them.
BETWEEN_WAKES = 0.00005 if WAY == "fast" else 0.001
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)
ended = False


class Call:
    """A call that waits or moves much; how to wake it; what has come of it."""

    def __init__(self, name, call, wake, expected):
        self.name, self.call, self.wake, self.expected = name, call, wake, expected
        self.made = self.disturbed = self.wrong = 0

    def repeat(self):
        while not ended:
            ctypes.set_errno(0)
            result = self.call()
            number = ctypes.get_errno()
            self.made += 1
            if number == errno.EINTR or 0 <= result < min(self.expected):
                self.disturbed += 1
            elif result not in self.expected and number != errno.EAGAIN:
                self.wrong += 1
            if WAY == "still":
                return


def quietly(function, *arguments):
    """Does what may find nothing to do: a full pipe needs no more, an empty one has no more."""
    try:
        function(*arguments)
    except BlockingIOError:
        pass


def epoll(call, event_fd):
    # Edge-triggered: each write to the event is one wake, and nobody has to read it.
    poller = select.epoll()
    poller.register(event_fd, select.EPOLLIN | select.EPOLLET)
    event = ctypes.create_string_buffer(64)
    return lambda: call(poller.fileno(), event, 1, LIMIT_MS, *[None] * (call is libc.epoll_pwait))


def calls():
    event_fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)]
    for name, event_fd in zip(("epoll_wait", "epoll_pwait"), event_fds):
        call = epoll(getattr(libc, name), event_fd)
        yield Call(name, call, lambda fd=event_fd: quietly(os.write, fd, struct.pack("Q", 1)), (0, 1))

    quiet, waker = socket.socketpair()
    quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", *divmod(LIMIT_MS * 1000, 1_000_000)))
    byte = ctypes.create_string_buffer(1)
    yield Call("recv", lambda: libc.recv(quiet.fileno(), byte, 1, 0),
               lambda: quietly(waker.send, b"x", socket.MSG_DONTWAIT), (1,))

    timeout = struct.pack("ll", LIMIT_MS // 1000, LIMIT_MS % 1000 * 1_000_000)
    signals, parent = struct.pack("16Q", 1 << (signal.SIGUSR1 - 1), *[0] * 15), os.getpid()
    yield Call("sigtimedwait", lambda: libc.sigtimedwait(signals, None, timeout),
               lambda: os.kill(parent, signal.SIGUSR1), (signal.SIGUSR1,))

    semaphore = libc.semget(0, 1, 0o600)
    take, give = struct.pack("Hhh", 0, -1, 0), struct.pack("Hhh", 0, 1, os.O_NONBLOCK)
    yield Call("semtimedop", lambda: libc.semtimedop(semaphore, take, 1, timeout),
               lambda: libc.semop(semaphore, give, 1), (0,))
    removed.append(lambda: libc.semctl(semaphore, 0, 0))

    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    out = ctypes.create_string_buffer(SIZE)
    size = ctypes.c_size_t(SIZE)
    yield Call("write", lambda: libc.write(write_end, out, size),
               lambda: quietly(os.read, read_end, PIECE), (SIZE,))

    sender, drain = socket.socketpair()
    yield Call("send", lambda: libc.send(sender.fileno(), out, size, 0),
               lambda: quietly(drain.recv, PIECE, socket.MSG_DONTWAIT), (SIZE,))

    source, sink = socket.socketpair()
    into, piece = ctypes.create_string_buffer(SIZE), bytes(PIECE)
    yield Call("recv_all", lambda: libc.recv(sink.fileno(), into, size, socket.MSG_WAITALL),
               lambda: quietly(source.send, piece, socket.MSG_DONTWAIT), (SIZE,))


def wake_for_ever(wakes, begin):
    """In a process of its own, which has no part in this one's interpreter lock. It begins with a byte from `begin`."""
    os.read(begin, 1)
    while True:
        for wake in wakes:
            wake()
        time.sleep(BETWEEN_WAKES)


def start_waker(wakes):
    """The process, and where to write the byte that lets it begin."""
    parent = os.getpid()
    begin, let_begin = os.pipe()
    child = os.fork()
    if child == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            wake_for_ever(wakes, begin)
        os._exit(1)
    return child, let_begin


def main():
    global ended
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    chosen = [call for call in calls() if call.name in truth.ARGUMENTS[1:] or not truth.ARGUMENTS[1:]]
    # Waits that time out need nobody to wake them.
    moves = [call.wake for call in chosen if call.expected == (SIZE,)]
    everyone = [call.wake for call in chosen]
    # Before there are threads: a process that forks must have one only.
    wakers = [start_waker(everyone if WAY == "fast" else moves), start_waker(everyone)]
    if WAY != "still":
        os.write(wakers[0][1], b"b")
    threads = [threading.Thread(target=call.repeat, name=call.name, daemon=True) for call in chosen]
    for thread in threads:
        thread.start()
    told = [{"native_id": thread.native_id, "name": thread.name, "frames": []} for thread in threads]
    truth._print({"pid": os.getpid(), "version": list(sys.version_info[:2]), "threads": told})
    os.read(0, 1)
    ended = True
    os.write(wakers[1][1], b"b")
    for thread in threads:
        thread.join()
    for child, _ in wakers:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for remove in removed:
        remove()
    counts = {call.name: {"made": call.made, "disturbed": call.disturbed, "wrong": call.wrong} for call in chosen}
    truth._print(counts)
    # Not through the interpreter's end, which is no part of this: CPython 3.14.10 with its JIT goes round there for ever when
    # these loops have been compiled, also when nobody samples it (it clears executors until the list is empty, and leaves
    # those in it that are invalid already).
    os._exit(0)


removed = []
main()
