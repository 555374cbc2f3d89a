"""How fast it is: ratios against a peer in one run, and growth."""
