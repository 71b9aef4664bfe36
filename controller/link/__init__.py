"""How our processes meet: the snapshot file (one file, one writer), the event ring, the command socket."""
