"""Runtime: the scan, the real clock, processes and supervision; the only place where things are wired together."""
