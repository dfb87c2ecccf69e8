"""The recipe of light targets, as a pyinfra deploy file."""

from benchmarks.recipe import light

light()
