"""The application of the trials: works without end, in functions whose names are looked for in profiles, beside a thread that waits."""

import threading


def deep_inside(count):
    return sum(number * number for number in range(count))


def serve_request():
    return deep_inside(2000)


def wait_for_work():
    threading.Event().wait()


def main():
    threading.Thread(target=wait_for_work, daemon=True).start()
    while True:
        serve_request()


main()
