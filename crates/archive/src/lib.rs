//! Bundles and artifacts: hostile-proof extraction, packing, materialising.
//!
//! Everything with a tar.gz on disk. What a peer sent is read by [one strict reader](ArchiveFault)
//! and written on directory handles that follow no link; nothing of the local tree changes before
//! all of an archive was accepted. All calls block on the disk and look at a cancellation flag.

mod blob_facts;
pub mod decoders;
mod extract;
mod fault;
mod folder_lock;
mod gzip;
mod image;
mod manifest;
mod materialise;
mod member_name;
mod members;
mod name_set;
mod next_step;
mod pack;
mod tree;

pub use blob_facts::{BlobFacts, blob_facts};
pub use extract::{
    BundleRefused, ExtractError, ExtractedBundle, extract_bundle, finish_interrupted,
};
pub use fault::ArchiveFault;
pub use image::WrongImage;
pub use manifest::ManifestFault;
pub use materialise::{
    ArtifactsRefused, LocalTree, MaterialiseError, Materialised, Objects, materialise,
};
pub use member_name::NameFault;
pub use pack::{BuildTree, PackError, PackedArtifacts, pack_artifacts};
