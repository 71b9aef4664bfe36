"""What is installed: the site's files parsed once into frozen models, with errors that name file, line and column."""
