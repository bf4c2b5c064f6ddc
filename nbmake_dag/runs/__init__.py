"""The recorded runs of this checkout and of other machines: finding one, fetching them, exchanging them."""
