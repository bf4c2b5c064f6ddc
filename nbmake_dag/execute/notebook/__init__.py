"""One notebook, executed in a kernel, from its start or from a snapshot."""
