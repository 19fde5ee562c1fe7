"""Prints a signed token each minute."""

import time

from blinker import signal
from itsdangerous import Signer

tick = signal("tick")
tick.connect(lambda sender: print(Signer("rates").sign(b"tick").decode(), flush=True))

while True:
    tick.send("clock")
    time.sleep(60)
