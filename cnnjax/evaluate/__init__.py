"""What a trained network says of pictures."""
