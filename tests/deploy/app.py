"""The application of the trials: works without end, in functions whose names are looked for in profiles."""


def deep_inside(count):
    return sum(number * number for number in range(count))


def serve_request():
    return deep_inside(2000)


def main():
    while True:
        serve_request()


main()
