"""Python environments that nbdag makes: by a tool, in the user's cache folder."""
