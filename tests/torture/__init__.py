"""Faults against a running group of workers, and an oracle that checks every window afterwards."""
