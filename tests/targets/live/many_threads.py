"""Hundreds of threads that wait: `many_threads.py work COUNT`."""

import os
import sys
import threading

import truth


def wait(begun, never):
    begun.release()
    never.acquire()


def main():
    begun, never = threading.Semaphore(0), threading.Lock()
    never.acquire()
    threads = [threading.Thread(target=wait, args=(begun, never), daemon=True) for _ in range(int(truth.ARGUMENTS[0]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        begun.acquire()
    told = [{"native_id": thread.native_id, "name": thread.name, "frames": []} for thread in threads]
    truth._print({"pid": os.getpid(), "version": list(sys.version_info[:2]), "threads": told})
    os.read(0, 1)
    os._exit(0)


main()
