"""How pictures and pages are made, whatever they show: DOT, layout, themes, SVG, formats, templates."""
