"""The command line `ct2-lite`."""
