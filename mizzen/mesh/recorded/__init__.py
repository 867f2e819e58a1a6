"""The mesh as queries read it: every read is recorded."""
