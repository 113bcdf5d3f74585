"""What is in a photo: its picture, and the metadata in its file."""
