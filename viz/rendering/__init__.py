"""How pictures and pages come into being, whatever they show: DOT, layout, themes, shapes, formats, templates."""
