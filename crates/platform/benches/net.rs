//! How fast 44 KB messages cross one link on one core, both ends included.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::net::SocketAddr;
use std::time::Duration;

use kiln_platform::net::TcpNet;
use kiln_ports::Net;
use kiln_ports::net::{Connection, Incoming};

/// Ciphertext of a 32 KiB chunk (peer-link.md §5.6).
const MESSAGE: usize = 43_824;
const COUNT: usize = 20_000;
const LIMIT: usize = 65_551;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let net = TcpNet::default();
    let mut listener = net.listen("127.0.0.1", 0).await.unwrap();
    let address = [SocketAddr::from(([127, 0, 0, 1], listener.port()))];
    let (server, client) = tokio::join!(
        listener.accept(),
        net.dial("localhost", &address, Duration::from_secs(5), LIMIT)
    );
    let (mut server, mut client) = (server, client.unwrap());
    server.reader.limit(LIMIT);
    for name in ["upload (masked)", "upload (masked)"] {
        measure(name, &mut client, &mut server).await;
    }
    for name in ["download", "download"] {
        measure(name, &mut server, &mut client).await;
    }
}

async fn measure(name: &str, from: &mut Connection, to: &mut Connection) {
    let begun = tokio::time::Instant::now();
    let send = async {
        for _ in 0..COUNT {
            from.writer.feed(vec![0x5a; MESSAGE]).await.unwrap();
        }
        from.writer.flush().await.unwrap();
    };
    let receive = async {
        for _ in 0..COUNT {
            match to.reader.next().await.unwrap() {
                Incoming::Binary(message) => assert_eq!(message.len(), MESSAGE),
                Incoming::Text | Incoming::Closed(_) => unreachable!("only messages are sent"),
            }
        }
    };
    tokio::join!(send, receive);
    let seconds = begun.elapsed().as_secs_f64();
    let megabytes = (MESSAGE * COUNT) as f64 / 1e6;
    println!("{name:<16} {:>6.0} MB/s", megabytes / seconds);
}
