"""A running target: pure Python with few calls."""

import truth


def primes(limit):
    sieve = [True] * limit
    for number in range(2, limit):
        if sieve[number]:
            multiple = number * number
            while multiple < limit:
                sieve[multiple] = False
                multiple += number
    return sum(sieve)


def step():
    primes(20000)


truth.work(step, calls=[("<module>", "work"), ("work", "step"), ("step", "primes")])
