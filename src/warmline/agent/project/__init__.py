"""Agent projects as folders of files: what they say, read without running any of it."""
