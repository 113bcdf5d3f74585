"""Which words of a text say something: function words of the languages, and the terms that are left without them."""
