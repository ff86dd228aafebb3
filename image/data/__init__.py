"""What is painted: points of the plane, handwritten digits, captioned shapes."""
