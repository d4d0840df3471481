"""A Linux board over ssh."""
