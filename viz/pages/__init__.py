"""Pages to open in any browser without a network; beside each file lie the HTML and scripts that it fills."""
