"""The creation of a class: a metaclass, and a descriptor that is told its name by type.__new__."""

import truth


class Field:
    def __set_name__(self, owner, name):
        truth.hold(from_c={"Field.__set_name__", "Meta.__new__"})


class Meta(type):
    def __new__(cls, name, bases, namespace):
        return super().__new__(cls, name, bases, namespace)


def main():
    class Model(metaclass=Meta):
        field = Field()

    return Model


main()
