"""The commands of the command line, one module a subject. Each adds its parsers, and calls the library."""
