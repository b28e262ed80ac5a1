"""What people ask for, one room each. They take dumps or states and return plain values; none prints."""
