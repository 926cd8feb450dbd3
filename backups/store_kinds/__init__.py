"""Kinds of remote store, one module each: ``build`` makes its Django storage backend, ``open_stream`` reads one file.

``ERRORS`` are what the kind's library raises, ``UNREACHABLE`` those of them that say nothing about the files. The
libraries are optional: importing a module may raise ImportError.
"""
