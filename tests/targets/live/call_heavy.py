"""A running target: short functions, methods, generators and callbacks, in and out of C all the time."""

import functools

import truth


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __lt__(self, other):
        return self.norm() < other.norm()

    @property
    def squared(self):
        return self.x * self.x + self.y * self.y

    def norm(self):
        return self.squared


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def points(count):
    for index in range(count):
        yield Point(index * 7919 % 101, index * 104729 % 103)


def further(left, right):
    return right if left < right else left


def step():
    fibonacci(12)
    sorted(points(50))
    functools.reduce(further, points(50))


truth.work(
    step,
    calls=[
        ("<module>", "work"),
        ("work", "step"),
        ("step", "fibonacci"),
        ("fibonacci", "fibonacci"),
        ("step", "points"),
        ("points", "Point.__init__"),
        ("step", "Point.__lt__"),
        ("step", "further"),
        ("further", "Point.__lt__"),
        ("Point.__lt__", "Point.norm"),
        ("Point.norm", "Point.squared"),
    ],
)
