//! Watches of an arena without kinds above it.
