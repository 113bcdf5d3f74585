"""Encoders: models that embed images and texts in one space."""
