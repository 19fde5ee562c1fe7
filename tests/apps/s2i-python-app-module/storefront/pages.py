from flask import Flask


def build():
    site = Flask("storefront")

    @site.get("/")
    def index():
        return "hello from s2i-python-app-module"

    return site
