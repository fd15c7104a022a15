"""What runs and anyone's predictions come to: tables of one, comparison of several, one page."""
