"""Where photos are, and what tables beside them say of them."""
