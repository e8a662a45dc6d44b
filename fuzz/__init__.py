"""Broken input and random organisations by the thousand."""
