//! Stories of keyrings that do not do what they should: a clear sentence, never a new identity.
use std::time::Duration;

use kiln_engine::IdentityChoice;
use kiln_model::{PairingStatus, Reply, Request, say};
use kiln_ports::secrets::SecretsError;
use kiln_ports::store::StoreError;

use crate::world::{Host, World};

#[tokio::test(start_paused = true)]
async fn a_keyring_that_does_not_answer_stops_the_start_with_its_reason_and_changes_nothing() {
    let errors = [
        (SecretsError::Locked, "unlock it"),
        (SecretsError::Denied, "allow Kiln"),
        (SecretsError::Absent, "--secrets file"),
        (SecretsError::Slow(30), "within 30 s"),
        (SecretsError::Failed("broken".to_owned()), "broken"),
    ];
    for (error, words) in errors {
        let world = World::new();
        let mut one = world.host(1, "one").await;
        let pin = one.pin().await;
        one.stop().await;
        one.secrets.fail_after(0, error);
        let refused = one.start().await.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
        one.secrets.heal();
        one.start().await.unwrap();
        assert_eq!(one.pin().await, pin);
    }
}

#[tokio::test(start_paused = true)]
async fn an_emptied_or_odd_keyring_is_an_error_with_a_next_step_until_the_owner_wants_a_new_key() {
    for odd in [None, Some(vec![7; 31])] {
        let world = World::new();
        let mut one = world.host(1, "one").await;
        let pin = one.pin().await;
        one.stop().await;
        one.secrets.empty();
        if let Some(bytes) = &odd {
            one.secrets.put("identity", bytes);
        }
        for _ in 0..2 {
            let refused = one.start().await.unwrap_err().to_string();
            assert!(refused.contains("--new-identity"), "{refused}");
            assert_eq!(one.secrets.get("identity"), odd);
        }
        one.start_as(IdentityChoice::New).await.unwrap();
        assert_ne!(one.pin().await, pin);
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyring_that_locks_while_the_node_runs_refuses_approvals_and_leaves_sessions_alone() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    let three = world.host(3, "three").await;
    one.pair_with(&two).await;
    two.secrets.fail_after(0, SecretsError::Locked);
    assert_eq!(two.ask(Request::OpenWindow).await, Reply::Done);
    assert_eq!(three.ask_to_pair(&two).await, Reply::PairingPending);
    let id = three.view().await.identity.dashboard_id;
    match two.ask(Request::Approve(id, None)).await {
        Reply::Refused(error) => assert!(error.message.contains("locked"), "{error:?}"),
        other => panic!("{other:?} although the trust anchor was not kept"),
    }
    assert!(one.is_connected().await);
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_while_the_keyring_was_locked_holds_after_a_restart() {
    let world = World::new();
    let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    let three = world.host(3, "three").await;
    one.pair_with(&two).await;
    two.secrets.fail_after(0, SecretsError::Locked);
    assert_eq!(two.ask(Request::OpenWindow).await, Reply::Done);
    assert_eq!(three.ask_to_pair(&two).await, Reply::PairingPending);
    let [removed, approved] = [&one, &three].map(|host| host.view());
    let (removed, approved) = (removed.await.identity, approved.await.identity);
    let removal = two
        .ask(Request::RemovePeer(removed.dashboard_id.clone()))
        .await;
    assert!(matches!(removal, Reply::Refused(_)), "{removal:?}");
    let approval = two
        .ask(Request::Approve(approved.dashboard_id.clone(), None))
        .await;
    assert!(matches!(approval, Reply::Refused(_)), "{approval:?}");
    two.secrets.heal();
    world.run_for(Duration::from_secs(5)).await;
    two.stop().await;
    two.start().await.unwrap();
    let peers = two.view().await.peers;
    let ids: Vec<_> = peers.iter().map(|p| &p.peer.dashboard_id).collect();
    assert_eq!(ids, [&approved.dashboard_id]);
}

#[tokio::test(start_paused = true)]
async fn a_kill_before_the_keyring_has_what_was_decided_trusts_nobody_it_does_not_name() {
    let world = World::new();
    let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    let three = world.host(3, "three").await;
    one.pair_with(&two).await;
    two.secrets.fail_after(0, SecretsError::Locked);
    assert_eq!(two.ask(Request::OpenWindow).await, Reply::Done);
    assert_eq!(three.ask_to_pair(&two).await, Reply::PairingPending);
    let [removed, approved] = [&one, &three].map(|host| host.view());
    let (removed, approved) = (removed.await.identity, approved.await.identity);
    two.ask(Request::RemovePeer(removed.dashboard_id)).await;
    two.ask(Request::Approve(approved.dashboard_id.clone(), None))
        .await;
    two.kill().await;
    two.secrets.heal();
    two.start().await.unwrap();
    let view = two.view().await;
    assert!(view.peers.is_empty(), "{:#?}", view.peers);
    let pin = approved.pin.short();
    let said = view.notices.iter().any(|notice| notice.contains(&pin));
    assert!(said, "{:?} does not name {pin}", view.notices);
    world.run_for(Duration::from_secs(5)).await;
    assert!(two.view().await.peers.is_empty(), "nor does a retry");

    three.pair_with(&two).await;
    let notices = two.view().await.notices;
    assert!(notices.is_empty(), "it is over: {notices:?}");
    two.stop().await;
    two.start().await.unwrap();
    let notices = two.view().await.notices;
    assert!(notices.is_empty(), "{notices:?}");
    let peers = two.view().await.peers;
    let ids: Vec<_> = peers.iter().map(|p| &p.peer.dashboard_id).collect();
    assert_eq!(ids, [&approved.dashboard_id]);
}

/// Lets a keyring, or a disk, refuse all changes.
fn refuse(host: &Host, who: &str) {
    match who {
        "keyring" => host.secrets.fail_after(0, SecretsError::Locked),
        _ => host.store.refuse(Some(StoreError::Full)),
    }
}

fn heal(host: &Host) {
    host.secrets.heal();
    host.store.refuse(None);
}

//
#[tokio::test(start_paused = true)]
async fn an_approval_is_told_once_it_is_kept_and_costs_nobody_the_pairing_before() {
    for who in ["keyring", "disk"] {
        let world = World::new();
        let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
        assert_eq!(two.ask(Request::OpenWindow).await, Reply::Done);
        assert_eq!(one.ask_to_pair(&two).await, Reply::PairingPending);
        refuse(&two, who);
        let id = one.view().await.identity.dashboard_id;
        let approval = two.ask(Request::Approve(id, None)).await;
        assert!(matches!(approval, Reply::Refused(_)), "{approval:?}");
        world.run_for(Duration::from_secs(30)).await;
        let view = one.view().await;
        let status: Vec<_> = view.pairings.iter().map(|p| p.pairing.status).collect();
        assert_eq!(status, [PairingStatus::Pending], "{who}");
        assert!(view.alerts.is_empty(), "{who}: {:?}", view.alerts);

        heal(&two);
        let limit = Duration::from_secs(60);
        world
            .run_until(limit, async || one.is_connected().await)
            .await;
        two.kill().await;
        two.start().await.unwrap();
        world
            .run_until(limit, async || one.is_connected().await)
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_take_news_of_an_approved_computer_does_not_shut_it_out() {
    let world = World::new();
    let (mut one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    one.stop().await;
    two.store.refuse(Some(StoreError::Full));
    one.name = "another name".to_owned();
    one.start().await.unwrap();
    let limit = Duration::from_secs(60);
    world
        .run_until(limit, async || one.is_connected().await)
        .await;
    let peer = two.view().await.peers.remove(0).peer;
    assert_eq!(peer.friendly_name.as_str(), one.name);
}

#[tokio::test(start_paused = true)]
async fn what_the_keyring_does_late_takes_nothing_away_from_what_was_done_meanwhile() {
    let world = World::new();
    let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    two.secrets.fail_after(0, SecretsError::Locked);
    assert_eq!(two.ask(Request::OpenWindow).await, Reply::Done);
    assert_eq!(one.ask_to_pair(&two).await, Reply::PairingPending);
    let id = one.view().await.identity.dashboard_id;
    let approval = two.ask(Request::Approve(id, None)).await;
    assert!(matches!(approval, Reply::Refused(_)), "{approval:?}");
    two.secrets.heal();
    let gate = two.secrets.delay_next();
    world.run_for(Duration::from_secs(4)).await;
    let renamed = vec![("friendly_name".to_owned(), "another name".to_owned())];
    one.ask(Request::SetSettings(renamed)).await;
    one.ask_to_pair(&two).await;
    let limit = Duration::from_secs(60);
    world
        .run_until(limit, async || one.is_connected().await)
        .await;
    gate.send_replace(true);
    world.run_for(Duration::from_secs(5)).await;
    two.stop().await;
    two.start().await.unwrap();
    world
        .run_until(limit, async || one.is_connected().await)
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_does_not_come_back_with_a_disk_or_a_keyring_that_refused_it() {
    for who in ["keyring", "disk"] {
        let world = World::new();
        let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
        one.pair_with(&two).await;
        let asking = one.view().await.identity;
        let anchor = format!("offloader-{}", asking.pin);
        refuse(&two, who);
        let removal = two.ask(Request::RemovePeer(asking.dashboard_id)).await;
        assert!(matches!(removal, Reply::Refused(_)), "{removal:?}");
        two.kill().await;
        heal(&two);
        two.start().await.unwrap();
        assert!(two.view().await.peers.is_empty(), "{who}");

        one.pair_with(&two).await;
        let asking = one.view().await.identity;
        refuse(&two, who);
        two.ask(Request::RemovePeer(asking.dashboard_id)).await;
        heal(&two);
        world.run_for(Duration::from_secs(5)).await;
        assert_eq!(two.secrets.get(&anchor), None, "{who}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_keyring_that_hangs_over_an_earlier_decision() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    two.secrets.fail_after(0, SecretsError::Locked);
    assert_eq!(two.ask(Request::OpenWindow).await, Reply::Done);
    assert_eq!(one.ask_to_pair(&two).await, Reply::PairingPending);
    let asking = one.view().await.identity;
    let approval = two.ask(Request::Approve(asking.dashboard_id, None)).await;
    assert!(matches!(approval, Reply::Refused(_)), "{approval:?}");
    two.secrets.heal();
    two.secrets.hang();
    world.run_for(Duration::from_secs(7)).await;
    assert_eq!(two.ask(Request::CloseWindow).await, Reply::Done);
    two.secrets.heal();
    world.run_for(Duration::from_secs(7)).await;
    let anchor = format!("offloader-{}", asking.pin);
    assert!(two.secrets.get(&anchor).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_the_keyring_refuses_keeps_the_old_key() {
    let world = World::new();
    let one = world.host(1, "one").await;
    let pin = one.pin().await;
    one.secrets.fail_after(0, SecretsError::Locked);
    assert!(matches!(
        one.ask(Request::RotateIdentity).await,
        Reply::Refused(_)
    ));
    assert_eq!(one.pin().await, pin);
    one.secrets.heal();
    one.ask(Request::RotateIdentity).await;
    assert_ne!(one.pin().await, pin);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_of_which_the_keyring_says_too_late_that_it_is_done_is_taken_back() {
    let world = World::new();
    let mut one = world.host(1, "one").await;
    let pin = one.pin().await;
    one.secrets.be_late();
    assert!(matches!(
        one.ask(Request::RotateIdentity).await,
        Reply::Refused(_)
    ));
    assert_eq!(one.pin().await, pin);
    world.run_for(Duration::from_secs(5)).await;
    assert!(one.view().await.notices.is_empty());
    one.stop().await;
    one.start().await.unwrap();
    assert_eq!(one.pin().await, pin);
}

#[tokio::test(start_paused = true)]
async fn until_a_rotation_is_taken_back_it_is_said_that_it_is_open_which_key_counts() {
    let world = World::new();
    let one = world.host(1, "one").await;
    one.secrets.be_late();
    let gate = one.secrets.delay_next();
    one.tell(Request::RotateIdentity);
    world.settle().await;
    gate.send_replace(true);
    one.secrets.fail_after(1, SecretsError::Locked);
    world.run_for(Duration::from_secs(5)).await;
    assert_eq!(one.view().await.notices, [say::key_open()]);
    one.secrets.heal();
    world.run_for(Duration::from_secs(5)).await;
    assert!(one.view().await.notices.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_refused_does_not_forget_that_an_earlier_one_left_the_key_open() {
    let world = World::new();
    let mut one = world.host(1, "one").await;
    let pin = one.pin().await;
    one.secrets.be_late();
    let gate = one.secrets.delay_next();
    one.tell(Request::RotateIdentity);
    world.settle().await;
    gate.send_replace(true);
    one.secrets.fail_after(1, SecretsError::Locked);
    world.run_for(Duration::from_secs(5)).await;
    one.tell(Request::RotateIdentity);
    world.settle().await;
    assert_eq!(one.view().await.notices, [say::key_open()]);
    one.secrets.heal();
    world.run_for(Duration::from_secs(5)).await;
    assert!(one.view().await.notices.is_empty());
    one.kill().await;
    one.start().await.unwrap();
    assert_eq!(one.pin().await, pin);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_whose_last_word_finds_no_room_on_the_disk_has_happened() {
    let world = World::new();
    let mut one = world.host(1, "one").await;
    let pin = one.pin().await;
    let gate = one.secrets.delay_next();
    one.tell(Request::RotateIdentity);
    world.settle().await;
    one.store.refuse(Some(StoreError::Full));
    gate.send_replace(true);
    world.settle().await;
    let rotated = one.pin().await;
    assert_ne!(rotated, pin);
    one.kill().await;
    one.store.refuse(None);
    one.start().await.unwrap();
    assert_eq!(one.pin().await, rotated);
}
