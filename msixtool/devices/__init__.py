"""From sections to MSI-X: finds each device's configuration space, table and pending bits."""
