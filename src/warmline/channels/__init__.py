"""How customers reach Warmline."""
