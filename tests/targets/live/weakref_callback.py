"""A weak reference's callback, called while its object is being deallocated."""

import weakref

import truth


class Node:
    pass


def gone(reference):
    truth.hold(from_c={"gone"})


def main():
    node = Node()
    reference = weakref.ref(node, gone)
    del node
    return reference


main()
