"""The site of the pages in docs/ and the README: packaging/build-site FOLDER. Warnings are errors there."""

from importlib import metadata

project = "msixtool"
author = "the msixtool project"
release = metadata.version("msixtool")
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"msixtool {release}"
html_copy_source = False
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]
linkcheck_anchors = False
