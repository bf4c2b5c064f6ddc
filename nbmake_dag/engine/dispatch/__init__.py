"""Which task begins next, on which executor, and with what."""
