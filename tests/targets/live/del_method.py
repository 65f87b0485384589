"""__del__, called where the last reference goes."""

import truth


class Resource:
    def __del__(self):
        self.close()

    def close(self):
        truth.hold(from_c={"Resource.__del__"})


def main():
    resource = Resource()
    del resource


main()
