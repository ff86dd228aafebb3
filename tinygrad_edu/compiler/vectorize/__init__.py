"""From scalar operations to array instructions."""
