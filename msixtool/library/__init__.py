"""What programs ask: `Dump` and plain functions, a value for each answer.

Everything public is exported from `msixtool` itself. The command line stands on this floor and on
nothing below it.
"""
