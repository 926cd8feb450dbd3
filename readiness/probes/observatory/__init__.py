"""The scoring rules of the MDN HTTP Observatory (1.4.8, algorithm 4), written from a description of its behaviour."""
