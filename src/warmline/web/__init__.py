"""What every HTTP surface shares: errors, headers, limits, paths."""
