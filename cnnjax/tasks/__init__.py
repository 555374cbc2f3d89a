"""What training means: preprocessing, loss and metric of a task."""
