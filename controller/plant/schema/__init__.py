"""The keys of each kind of file: what may stand where, as tables that reader, editors and documents share."""
