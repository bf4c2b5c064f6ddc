"""Code that runs inside a kernel or worker of the user: standard library only."""
