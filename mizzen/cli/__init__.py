"""The command `mizzen`: each command parses its arguments, calls the library, and prints."""
