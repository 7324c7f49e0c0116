"""Language models behind one port: what is asked, what comes back, and the client for real endpoints."""
