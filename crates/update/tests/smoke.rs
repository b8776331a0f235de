//! The fuzz body on stable: mutated manifests, a bounded number of rounds, the same every time.

#[path = "../../../fuzz/bodies/mutants.rs"]
mod mutants;
#[path = "../../../fuzz/bodies/update.rs"]
mod update;

#[test]
fn mutated_manifests_do_no_harm() {
    mutants::run(update::update, &update::seeds(), 4_000);
}
