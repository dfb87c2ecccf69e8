"""telekit stands up and proves remote access for a town hall."""

__version__ = "0.1.0"
