"""Served from its own folder, with the modules of the folder above."""

from words import GREETING


def application(environ, start):
    with open("page.txt", encoding="utf-8") as page:
        body = page.read().strip().format(GREETING)
    start("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
