"""A fault campaign for the lock, with a checker of its history: ``python -m tests.campaign``."""
