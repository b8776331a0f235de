//! The box of Windows, made by the real program: what holds builds is what was tried from inside.
#![cfg(windows)]
use kiln_model::Tier;
use kiln_platform::OsSandbox;
use kiln_ports::Sandbox as _;

#[tokio::test]
async fn windows_keeps_a_build_from_changing_anything() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = env!("CARGO_BIN_EXE_kiln").into();
    let proved = OsSandbox::new(launcher, folder.path().join("boxes"))
        .prove()
        .await;
    assert_eq!(proved.tier, Tier::Hindered, "{}", proved.detail);
}
