//! What Kiln knows of ESPHome: commands, sidecars, artifact tables, output.
