"""The library behind the course on generative networks.

Each module is one room of the course; `README.md` has the map. Nothing is imported here, so that
``import gennet`` costs nothing and a chapter names what it uses: ``from gennet import datasets``.
"""

__version__ = "0.1.0"
