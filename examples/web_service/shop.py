"""A small shop: a web service whose requests go from the framework into C and back into Python, compute, and wait.

    pip install -r examples/web_service/requirements.txt
    python3 -m gunicorn --chdir examples/web_service --worker-class gthread --threads 4 shop:app
    python3 examples/web_service/load.py 10      # in another terminal: requests for 10 seconds

`/search` sorts rows by a Python function that SQLite calls, `/report` makes JSON and compresses it, and `/stock` asks another
service, which `load.py` plays, and which is slow.
"""

import difflib
import json
import sqlite3
import threading
import urllib.request
import zlib

from flask import Flask, Response, render_template, request

WAREHOUSE = "http://127.0.0.1:8001/"
WORDS = "red green blue small large round flat heavy light old new cheap fine rare plain soft".split()

app = Flask(__name__)
local = threading.local()


def relevance(name, word):
    """What SQLite calls for each row: how much of the word, and letters like it, are in the name."""
    return difflib.SequenceMatcher(None, name, word).ratio()


def database():
    """A connection for each thread, to a database of its own in memory."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(":memory:")
        local.connection.create_function("relevance", 2, relevance)
        local.connection.execute("CREATE TABLE items (name TEXT, price INTEGER)")
        names = (f"{WORDS[n % 16]} {WORDS[n // 7 % 16]} {WORDS[n // 31 % 16]} thing {n}" for n in range(3000))
        local.connection.executemany("INSERT INTO items VALUES (?, ?)", ((name, 37 * n % 9973) for n, name in enumerate(names)))
    return local.connection


@app.get("/search")
def search():
    word = request.args["word"]
    items = database().execute(
        "SELECT name, price, relevance(name, ?) AS r FROM items WHERE price < 2000 ORDER BY r DESC LIMIT 50", (word,)
    )
    return render_template("search.html", word=word, items=items)


@app.get("/report")
def report():
    rows = [{"name": name, "price": price} for name, price in database().execute("SELECT * FROM items")]
    packed = zlib.compress(json.dumps(rows).encode(), level=9)
    return Response(packed, headers={"Content-Encoding": "deflate"}, mimetype="application/json")


@app.get("/stock")
def stock():
    with urllib.request.urlopen(WAREHOUSE, timeout=5) as answer:
        return json.loads(answer.read())
