"""Emulators of outside systems, so that everything runs with no tenant, no network and no account.

They share no code with the rest of Warmline: what they say on the wire is written from the vendors' documents
a second time, so that a misunderstanding in a provider shows.
"""
