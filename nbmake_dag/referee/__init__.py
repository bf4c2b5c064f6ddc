"""Execute recorded results again, compare, and judge: `replay`, `bisect` and `blame`."""
