"""What a project keeps between builds: stores, previous results, rescued files, the lock; and its retention."""
