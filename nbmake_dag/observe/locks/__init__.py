"""Lock files of Python environments, read without the tools that write them."""
