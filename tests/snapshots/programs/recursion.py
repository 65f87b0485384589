"""A recursion through C code, with a recursion through Python code at its end."""


def down(n):
    return down(n - 1) if n else sum([1, 2, 3])


def through_c(n):
    return next(map(through_c, [n - 1])) if n else down(40)


while True:
    through_c(25)
