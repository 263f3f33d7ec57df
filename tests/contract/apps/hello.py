"""The smallest: not even a session."""

print("hello")
