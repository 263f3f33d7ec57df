"""The ways to sign in. Each is chosen by its name; none ever stands in for another."""
