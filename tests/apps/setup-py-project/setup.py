from setuptools import setup

setup(
    name="ticker",
    version="1.0",
    install_requires=["blinker>=1.9"],
)
