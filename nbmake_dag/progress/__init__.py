"""What a person sees in the terminal during a build, and after it."""
