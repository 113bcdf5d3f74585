"""What is in a photo: its picture, and what the file says of it."""
