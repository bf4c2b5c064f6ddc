"""Write down what happened in a run."""
