"""The bad day: a device is stolen, or somebody leaves at once."""
