"""Own music: genres for the albums of a folder, and the tracks that decided them."""
