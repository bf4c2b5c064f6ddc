"""Read the disk: the facts that a plan needs."""
