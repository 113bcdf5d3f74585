"""What a request asks for: parsed once into a SearchRequest, for the pages and the API."""
