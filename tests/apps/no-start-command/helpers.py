"""Only functions: nothing here says how to start."""


def double(number: int) -> int:
    return 2 * number
