"""Building blocks of networks: linen modules."""
