"""Scripts of guest and device actions, played on the model of MSI-X."""
