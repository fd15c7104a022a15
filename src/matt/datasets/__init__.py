"""Where tracks come from: own music in folders, and a synthetic library to try things on."""
