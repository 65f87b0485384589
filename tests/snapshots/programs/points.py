"""A loop that a JIT compiles and that makes objects: from its code, through a function of the interpreter, into libc."""


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y


def points(count):
    for index in range(count):
        Point(index, index + 1)


while True:
    points(2000)
