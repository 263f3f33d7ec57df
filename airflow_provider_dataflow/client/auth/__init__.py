"""Ways to sign in. Each is chosen by its ``auth_type``; there is no fallback to another."""
