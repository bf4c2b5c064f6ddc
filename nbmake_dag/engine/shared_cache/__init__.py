"""The shared cache of several machines: trust, look-ups, uploads."""
