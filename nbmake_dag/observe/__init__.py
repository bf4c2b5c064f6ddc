"""Look at the disk: the facts that a plan needs."""
