"""Work of the wheels that make objects of Python's faster, and of those that are tools of programs.

Does: for each a function that prepares, and returns one round of work. Does not: say how often it is done (`targets/work.py`).
"""


def frozenlist(world):
    import frozenlist

    def round_():
        for _ in range(500):
            numbers = frozenlist.FrozenList(range(100))
            numbers.append(7)
            numbers.insert(3, 9)
            numbers.freeze()
            assert 7 in numbers and numbers.index(99) == 100 and hash(numbers)
    return round_


def multidict(world):
    import multidict

    def round_():
        for _ in range(50):
            headers = multidict.CIMultiDict()
            for number in range(100):
                headers.add(f"Header-{number % 40}", str(number))
            assert len(headers.getall("header-7")) == 3
            headers.extend({"other": "1"})
            headers.copy().popall("HEADER-8")
    return round_


def propcache(world):
    from propcache.api import cached_property

    class Thing:
        @cached_property
        def length(self):
            return 7

    def round_():
        for _ in range(5_000):
            thing = Thing()
            assert thing.length + thing.length + thing.length == 21
    return round_


def yarl(world):
    import yarl

    def round_():
        for number in range(1_000):
            address = yarl.URL(f"http://user@host{number}.example:80/a b/Zürich?q=1 2&r={number}#ä")
            assert str(address / "more" % {"s": "ß" + str(number)})
    return round_


def wrapt(world):
    import wrapt

    @wrapt.decorator
    def twice(wrapped, instance, arguments, keywords):
        return wrapped(*arguments, **keywords) * 2

    @twice
    def add(one, other):
        return one + other

    def round_():
        proxy = wrapt.ObjectProxy([3, 1, 2])
        for _ in range(5_000):
            assert add(1, 2) == 6 and proxy[0] == 3 and len(proxy) == 3
    return round_


def cffi(world):
    import cffi
    functions = cffi.FFI()
    functions.cdef("int (*compare)(const void *, const void *); void qsort(void *, size_t, size_t, int (*)(const void *, const void *));"
                   "size_t strlen(const char *);")
    libc = functions.dlopen(None)

    @functions.callback("int(const void *, const void *)")
    def compare(one, other):
        return functions.cast("int *", one)[0] - functions.cast("int *", other)[0]

    def round_():
        numbers = functions.new("int[]", [number * 7919 % 1_000 for number in range(1_000)])
        libc.qsort(numbers, 1_000, 4, compare)
        assert numbers[0] == 0 and libc.strlen(b"four") == 4
    return round_


def debugpy(world):
    import debugpy
    debugpy.configure(subProcess=False)
    debugpy.listen(("127.0.0.1", 0), in_process_debug_adapter=True)

    def follow(number):
        total = 0
        for step in range(number):
            total += step * step
        return total

    def round_():
        for number in range(100):
            debugpy.debug_this_thread()
            follow(number)
    return round_
