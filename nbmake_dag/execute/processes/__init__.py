"""The processes that work runs in, and the supervisor that ends them with the driver."""
