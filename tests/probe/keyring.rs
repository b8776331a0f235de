//! The keyring: `load NAME`, `store NAME TEXT`, `delete NAME`; each is answered by its result.
use std::time::Duration;

use kiln_platform::OsSecrets;
use kiln_ports::Secrets as _;
use kiln_ports::secrets::{SecretBytes, SecretsError};

use crate::{order, say};

pub(crate) async fn run(instance: &str, patience_ms: &str) {
    let patience = Duration::from_millis(patience_ms.parse().unwrap_or(10_000));
    let secrets = OsSecrets::with_patience(instance, patience);
    while let Some(line) = order() {
        let words: Vec<&str> = line.split(' ').collect();
        let result = match words.as_slice() {
            ["load", name] => secrets.load(name).await.map(|found| match found {
                Some(secret) => String::from_utf8_lossy(secret.expose()).into_owned(),
                None => "nothing".to_owned(),
            }),
            ["store", name, text] => {
                let secret = SecretBytes::new(text.as_bytes().to_vec());
                secrets.store(name, secret).await.map(done)
            }
            ["delete", name] => secrets.delete(name).await.map(done),
            _ => Err(SecretsError::Failed(format!("no such order: {line}"))),
        };
        match result {
            Ok(text) => say(&text),
            Err(error) => say(&format!("{error:?}")),
        }
    }
}

fn done((): ()) -> String {
    "done".to_owned()
}
