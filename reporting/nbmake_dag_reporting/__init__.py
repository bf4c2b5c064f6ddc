"""Read span files, compare runs, write the site; knows nothing of the tool."""
