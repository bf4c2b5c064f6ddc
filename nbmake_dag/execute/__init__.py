"""Run tasks: processes, kernels and Ray."""
