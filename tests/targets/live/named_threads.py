"""Threads whose names are long, foreign, changed, of a class of their own, or not given at all."""

import threading

import truth


class Worker(threading.Thread):
    """Has attributes of its own, before and after those of every thread."""

    def __init__(self, **arguments):
        self.first = 1
        super().__init__(**arguments)
        self.last = vars(self)


def start(target, thread):
    truth._started.append(thread)
    thread.start()


def hold():
    truth.park()


def renamed():
    threading.current_thread().name = "orders_7"
    truth.park()


def main():
    for arguments in ({"name": "kafka-reader of the orders, in full"}, {"name": "läser 🐍"}, {}):
        start(hold, threading.Thread(target=hold, daemon=True, **arguments))
    start(hold, Worker(target=hold, daemon=True, name="a worker"))
    start(renamed, threading.Thread(target=renamed, daemon=True, name="before"))
    truth.hold()


main()
