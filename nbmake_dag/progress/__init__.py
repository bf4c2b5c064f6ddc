"""The display of a build in the terminal, during it and after it."""
