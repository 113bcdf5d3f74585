"""Where photos are, and the tables with facts about them."""
