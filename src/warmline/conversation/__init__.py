"""The one writer of sessions, and what must happen around it: turns and timers."""
