"""exec of code without a file, with names beyond ASCII."""

import truth

SOURCE = """
def größe():
    truth.hold()

größe()
"""


def main():
    exec(compile(SOURCE, "<größe 尺寸>", "exec"), {"truth": truth})


main()
