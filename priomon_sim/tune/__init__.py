"""Searching the settings that meet goals at the least cost."""
