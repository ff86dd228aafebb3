"""What every back end needs when it lays out and runs a program."""
