//! Bundles and artifacts: hostile-proof extraction, packing, materialising.
