"""Pages that open in any browser without a network; next to each file are the HTML and scripts that it fills."""
