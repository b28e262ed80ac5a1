"""What can be wrong with a stream: the catalogue of rules, and the checks behind them."""
