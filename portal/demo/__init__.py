"""The demonstration: two environments that are really served and really hold data; apart from the product itself."""
