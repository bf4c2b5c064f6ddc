"""What a planner cannot know of a pipeline, found by looking around it and by running a task again."""
