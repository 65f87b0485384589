"""Asks the shop (`shop.py`) for pages from four threads, and plays the warehouse that it asks, which answers after 20 ms.

Usage: load.py [SECONDS]      default: 10. Ends with the number of answers; fails when a page could not be had.
"""

import http.client
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHOP = ("127.0.0.1", 8000)
WAREHOUSE = ("127.0.0.1", 8001)
PAGES = ["/search?word=red", "/stock", "/report", "/search?word=rare", "/stock", "/search?word=small", "/stock"]


class Warehouse(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.02)
        body = b'{"things": 17}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def ask(end, first, answers):
    connection = http.client.HTTPConnection(*SHOP, timeout=20)
    number = first
    while time.monotonic() < end:
        connection.request("GET", PAGES[number % len(PAGES)])
        answer = connection.getresponse()
        answer.read()
        answers.append(answer.status)
        number += 1


def main():
    end = time.monotonic() + (float(sys.argv[1]) if len(sys.argv) > 1 else 10)
    warehouse = ThreadingHTTPServer(WAREHOUSE, Warehouse)
    threading.Thread(target=warehouse.serve_forever, daemon=True).start()
    answers = []
    clients = [threading.Thread(target=ask, args=(end, first, answers)) for first in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    warehouse.shutdown()
    good = answers.count(200)
    print(f"{good} answers")
    return 0 if good and good == len(answers) else 1


if __name__ == "__main__":
    sys.exit(main())
