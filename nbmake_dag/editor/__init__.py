"""Open notebooks in an editor as their tasks see them."""
