"""The list of agents as telekit edits it: the files written by hand keep their comments, their order and their ways."""
