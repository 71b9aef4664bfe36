"""A seeded virtual plant that speaks the real protocols, built from the same device maps, with a fault menu."""
