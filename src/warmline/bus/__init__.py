"""Carries hints: pokes and what is worth showing only now."""
