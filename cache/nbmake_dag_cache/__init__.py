"""Keys, digests, records and blobs: what makes two executions the same; knows nothing of the tool."""
