"""The Studio's pages, one module for each part."""
