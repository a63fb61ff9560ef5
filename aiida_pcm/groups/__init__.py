"""Groups: which nodes belong together, and are shared together."""
