"""A build: from a request to a finished run."""
