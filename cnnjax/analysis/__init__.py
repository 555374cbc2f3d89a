"""What a network costs, sees and has learned."""
