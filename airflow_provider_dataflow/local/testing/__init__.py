"""Local Data Flow inside tests: a server as a child process, and a pytest fixture."""
