"""What a trained model does, as numbers: its graph, its layers, its surprisal, its snapshots, its time."""
