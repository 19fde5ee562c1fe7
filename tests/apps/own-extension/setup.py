from setuptools import Extension, setup

setup(ext_modules=[Extension("shop.prices", ["native/prices.c"])])
