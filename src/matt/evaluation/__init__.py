"""What predictions are worth: scores, tables, pictures and a page. Nothing here needs torch."""
