"""What likeness is usual in an index, and so which hits really match."""
