"""Prints a line each minute."""

import time

from blinker import signal

tick = signal("tick")
tick.connect(lambda sender: print(f"tick of {sender}", flush=True))


def main() -> None:
    while True:
        tick.send("clock")
        time.sleep(60)


if __name__ == "__main__":
    main()
