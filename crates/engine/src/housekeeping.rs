//! Looks at what is on the disk and deletes what has to go, on threads that may wait for it.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use kiln_domain::Event;
use kiln_domain::storage::{Extent, Found, Stock};
use kiln_domain::work::Event as WorkEvent;
use kiln_model::Timestamp;
use kiln_ports::activity::Depth;

use crate::context::Context;
use crate::machine::reading;
use crate::steps::on_disk_thread;

/// Looks at the disk.
pub(crate) async fn measure(context: Arc<Context>, extent: Extent) {
    let (trees, store) = (context.received.clone(), Arc::clone(&context.store));
    let now = context.clock.now().wall;
    let looked = on_disk_thread(
        move |_| {
            let mut found = match extent {
                Extent::All => trees.inventory(None),
                Extent::Sender(pin) => trees.inventory(Some(pin)),
                Extent::Environments => Vec::new(),
            };
            let held = store.held();
            for (stock, bytes) in [(Stock::Transfers, held.blobs), (Stock::Logs, held.logs)] {
                found.push(Found {
                    stock,
                    devices: BTreeSet::new(),
                    bytes,
                    touched: now,
                });
            }
            found
        },
        None,
    );
    let mut found = looked.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the disk was not looked at");
        Vec::new()
    });
    match extent {
        Extent::All | Extent::Environments => found.extend(environments(&context).await),
        Extent::Sender(_) => {}
    }
    let free = free(&context).await;
    let measured = WorkEvent::Measured { found, free };
    context.tell(Event::Work(measured)).await;
}

async fn environments(context: &Context) -> Vec<Found> {
    let all = context.environments.inventory().await.into_iter();
    let found = all.map(|(version, bytes, made)| {
        let made = made.duration_since(UNIX_EPOCH).unwrap_or_default();
        Found {
            stock: Stock::Environment(version),
            devices: BTreeSet::new(),
            bytes,
            touched: Timestamp(i64::try_from(made.as_micros()).unwrap_or_default()),
        }
    });
    found.collect()
}

/// Deletes what has to go, in this order. What cannot be deleted is logged.
pub(crate) async fn evict(context: Arc<Context>, stocks: Vec<Stock>) {
    let mut gone = Vec::new();
    for stock in stocks {
        let done = match &stock {
            Stock::Environment(version) => match context.environments.evict(version).await {
                true => Ok(()),
                false => Err("it is in use".to_owned()),
            },
            _ => {
                let (trees, stock) = (context.received.clone(), stock.clone());
                let done = on_disk_thread(move |_| trees.evict(&stock), None).await;
                done.and_then(|done| done.map_err(|error| error.to_string()))
            }
        };
        match done {
            Ok(()) => {
                tracing::info!(?stock, "deleted");
                gone.push(stock);
            }
            Err(error) => tracing::warn!(?stock, %error, "this could not be deleted"),
        }
    }
    let free = free(&context).await;
    context
        .tell(Event::Work(WorkEvent::Evicted { gone, free }))
        .await;
}

/// Room on the disks that Kiln uses, in bytes.
async fn free(context: &Context) -> Option<u64> {
    let wanted = reading(context, Depth::Owner);
    let read = context.activity.read(&wanted).await;
    read.free_disk.map(|mib| mib << 20)
}
