"""What pages show, made from the log: pure functions."""
